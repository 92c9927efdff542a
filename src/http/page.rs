//! The live page: static files, embedded in the binary.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Documents are untrusted text: the page may run and show nothing but its own files.
const POLICY: &str =
    "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Name, type and contents of each file.
const FILES: [(&str, &str, &[u8]); 4] = [
    ("icon.svg", "image/svg+xml", include_bytes!("page/icon.svg")),
    ("index.html", "text/html; charset=utf-8", include_bytes!("page/index.html")),
    ("live.js", "text/javascript; charset=utf-8", include_bytes!("page/live.js")),
    ("style.css", "text/css; charset=utf-8", include_bytes!("page/style.css")),
];

pub(super) async fn index() -> Response {
    serve("index.html")
}

pub(super) async fn file(Path(file): Path<String>) -> Response {
    serve(&file)
}

fn serve(name: &str) -> Response {
    let Some((_, kind, contents)) = FILES.iter().find(|(file, ..)| *file == name) else {
        return (StatusCode::NOT_FOUND, "no such file\n").into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, *kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, *contents).into_response()
}

#[cfg(test)]
mod tests {
    #[test]
    fn foreign_text_reaches_the_page_as_text_and_visible() {
        let script = include_str!("page/live.js");
        let written: Vec<&str> = script.lines().filter(|line| line.contains("textContent = ")).collect();
        assert!(written.len() == 2, "only `make` and `say` write: {written:?}");
        assert!(
            written[0].contains("textContent = visible(text)") && written[1].contains("textContent = seen")
        );
        for other in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "innerText"] {
            assert!(!script.contains(other), "{other}");
        }
    }
}
