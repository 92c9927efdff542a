// The live page: asks the API once a second and changes what changed.
// Names, keywords and documents come from strangers: they reach the page through textContent only.
"use strict";

const POLL_MS = 1000, HIDDEN_MS = 10000, TIMEOUT_MS = 5000, LONGEST_WAIT_MS = 15000;
const EVENTS_SHOWN = 300, EVENTS_PER_ANSWER = 500, TRENDING_MS = 10 * 60 * 1000;
const KIND = {
  "topic.created": "created", "topic.merged": "merged", "topic.split": "split",
  "topic.keywords_changed": "keywords changed", "topic.field_shifted": "field shifted", "topic.trending": "trending", "topic.dormant": "dormant",
  "topic.revived": "revived", "model.published": "published",
};

// Control characters, and what overrides a reading direction.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

const at = (id) => document.getElementById(id);
const number = new Intl.NumberFormat(), percent = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });

/** `text` with what is hidden in it written out, as on the terminal. */
function visible(text) {
  return String(text).replace(HIDDEN, (c) => `\\u{${c.charCodeAt(0).toString(16)}}`);
}

/** An element with a class, text and children. */
function make(name, kind, text, ...children) {
  const element = document.createElement(name);
  if (kind) element.className = kind;
  if (text !== undefined && text !== null) element.textContent = visible(text);
  element.append(...children);
  return element;
}

function say(element, text) {
  const seen = visible(text);
  if (element.textContent !== seen) element.textContent = seen;
}

// ---------------------------------------------------------------------------------------------------------- asking

async function ask(path) {
  const answer = await fetch(path, { headers: { accept: "application/json" }, signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (answer.ok) return answer.json();
  const problem = await answer.json().catch(() => ({}));
  throw new Error(problem.detail ?? `${path}: ${answer.status}`);
}

let failures = 0, lastSeen = null, seq = 0, version = null, first = true;

async function poll() {
  try {
    const known = await ask("api/topics");
    if (version !== null && known.version < version) forgetEvents(); // another state than before: its events count anew
    version = known.version;
    await drainEvents();
    showFigures(known);
    showTopics(known);
    failures = 0;
    lastSeen = Date.now();
    if (first) revealLinked();
    first = false;
  } catch {
    failures += 1;
  }
  showStatus();
  const wait = failures ? Math.min(POLL_MS * 2 ** (failures - 1), LONGEST_WAIT_MS) : document.hidden ? HIDDEN_MS : POLL_MS;
  setTimeout(poll, wait);
}

/** A time as people say it. */
function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

function showStatus() {
  const lost = failures >= 2 || (failures > 0 && lastSeen === null);
  document.body.classList.toggle("lost", lost);
  at("status").dataset.state = lost ? "lost" : lastSeen === null ? "waiting" : "live";
  const since = lastSeen === null ? "" : `; as of ${new Date(lastSeen).toLocaleTimeString()}`;
  say(at("status-text"), lost ? `disconnected${since}` : lastSeen === null ? "connecting" : remaining ? `live; ${remaining}` : "live");
}

// --------------------------------------------------------------------------------------------------------- figures

const samples = []; // [ms, documents, unread bytes] of the last ten seconds
let rate = 0, remaining = "";

function showFigures({ version, documents, outliers, topics, unread_bytes }) {
  const now = performance.now();
  if (samples.length && documents < samples[samples.length - 1][1]) samples.length = 0;
  samples.push([now, documents, unread_bytes]);
  while (now - samples[0][0] > 10000 && samples.length > 2) samples.shift();
  const [then, before, unread] = samples[0];
  const seconds = (now - then) / 1000;
  rate = seconds > 0 ? (documents - before) / seconds : 0;
  const bytes = seconds > 0 ? (unread - unread_bytes) / seconds : 0;
  remaining = unread_bytes && bytes > 0 ? `${duration(unread_bytes / bytes)} until the end of the file` : "";
  say(at("documents"), number.format(documents));
  say(at("rate"), rate >= 10 ? number.format(Math.round(rate)) : rate.toFixed(1));
  const asleep = topics.filter((topic) => topic.state === "dormant").length;
  say(at("count"), number.format(topics.length - asleep) + (asleep ? ` + ${number.format(asleep)} dormant` : ""));
  say(at("outliers"), documents ? percent.format(outliers / documents) : "–");
  say(at("version"), number.format(version));
}

// ---------------------------------------------------------------------------------------------------------- topics

const rows = new Map(); // topic id → what its two rows are made of
let latest = { topics: [] }, found = null;

function showTopics(known) {
  latest = known;
  const largest = Math.max(1, ...known.topics.map((topic) => topic.size));
  const present = new Set();
  for (const topic of known.topics) {
    present.add(topic.id);
    let row = rows.get(topic.id);
    if (!row) {
      row = makeRow(topic.id);
      rows.set(topic.id, row);
      if (!first) flash(row.main, "fresh");
    }
    update(row, topic, known.version, largest);
  }
  for (const [id, row] of rows) {
    if (present.has(id)) continue;
    row.main.remove();
    row.details.remove();
    rows.delete(id);
  }
  arrange();
}

function makeRow(id) {
  const row = { topic: null, open: false, detailsOf: "" };
  row.name = make("button", "name");
  row.name.type = "button";
  row.name.setAttribute("aria-expanded", "false");
  row.name.setAttribute("aria-controls", `details-${id}`);
  row.name.addEventListener("click", () => toggle(row));
  row.badges = make("span");
  row.words = make("div", "words");
  row.spark = svg("svg", { class: "spark", viewBox: "0 0 100 24", preserveAspectRatio: "none", role: "img" });
  row.bar = make("i");
  row.amount = make("span", "amount");
  row.main = make("tr", "", null,
    make("td", "number", id),
    make("td", "topic", null, row.name, row.badges, row.words),
    make("td", "trend", null, row.spark),
    make("td", "size", null, make("div", "meter", null, row.bar, row.amount)));
  for (const element of [row.main, ...row.main.cells]) element.setAttribute("role", element === row.main ? "row" : "cell");
  row.inside = make("td");
  row.inside.colSpan = 4;
  row.details = make("tr", "details", null, row.inside);
  row.details.id = `details-${id}`;
  row.details.hidden = true;
  row.details.setAttribute("role", "row");
  row.inside.setAttribute("role", "cell");
  return row;
}

function update(row, topic, version, largest) {
  row.topic = topic;
  const terms = topic.keywords.map((word) => word.term);
  const ofKeywords = topic.name.startsWith(`${topic.id}_`); // BERTopic's name; its words read better apart
  say(row.name, ofKeywords ? terms.slice(0, 4).join(", ") : topic.name);
  say(row.words, terms.slice(ofKeywords ? 4 : 0).join(" · "));
  row.main.classList.toggle("asleep", topic.state === "dormant");
  row.bar.style.width = `${(100 * topic.size) / largest}%`;
  say(row.amount, number.format(topic.size));
  showBadges(row, topic, version);
  const history = topic.history ?? [];
  const drawn = history.join();
  if (row.spark.dataset.of !== drawn) {
    row.spark.dataset.of = drawn;
    drawSpark(row.spark, history);
  }
  if (row.open) fillDetails(row);
}

function showBadges(row, topic, version) {
  const badges = [];
  if (topic.created_version === version && version > 1) badges.push(["new", "new"]);
  if (Date.now() - (trending.get(topic.id) ?? 0) < TRENDING_MS) badges.push(["trending", "▲ trending"]);
  if (topic.state === "dormant") badges.push(["dormant", "dormant"]);
  const match = found?.get(topic.id);
  if (match !== undefined) badges.push(["match", match.toFixed(2)]);
  const shown = badges.join(";");
  if (row.badges.dataset.of === shown) return;
  row.badges.dataset.of = shown;
  row.badges.replaceChildren(...badges.map(([kind, text]) => make("span", `badge ${kind}`, text)));
}

/** Documents per window as a line over an area; the newest on the right. */
function drawSpark(spark, history) {
  const last = history.slice(-32), most = Math.max(1, ...last);
  spark.setAttribute("aria-label", last.length ? `recent documents: ${last.slice(-8).join(", ")}` : "no history yet");
  if (last.length < 2) return spark.replaceChildren();
  const step = 100 / (last.length - 1);
  const points = last.map((count, i) => `${(i * step).toFixed(1)},${(22 - (20 * count) / most).toFixed(1)}`);
  spark.replaceChildren(
    svg("polygon", { points: `0,24 ${points.join(" ")} 100,24`, fill: "currentColor", opacity: 0.13 }),
    svg("polyline", { points: points.join(" "), fill: "none", stroke: "currentColor", "stroke-width": 1.5, "vector-effect": "non-scaling-stroke", "stroke-linejoin": "round" }));
}

function svg(name, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function toggle(row, open = !row.open) {
  row.open = open;
  row.name.setAttribute("aria-expanded", String(open));
  row.details.hidden = !open;
  if (open) fillDetails(row);
}

function fillDetails(row) {
  const { keywords, aspects = {}, summary, representative, created_version, split_from } = row.topic;
  const shown = JSON.stringify([keywords, aspects, summary, representative]);
  if (row.detailsOf === shown) return;
  row.detailsOf = shown;
  const best = Math.max(1e-9, ...keywords.map((word) => word.score));
  const scores = make("dl", "scores");
  for (const { term, score } of keywords) {
    const bar = make("i");
    bar.style.width = `${Math.max(0, (65 * score) / best)}%`;
    scores.append(make("dt", "", term), make("dd", "", null, bar, score.toPrecision(2)));
  }
  const parts = summary ? [make("p", "", summary)] : [];
  parts.push(make("h3", "", aspects["c-tf-idf"] ? "Keywords" : "Keywords by c-TF-IDF"), scores);
  for (const [name, list] of Object.entries(aspects)) {
    parts.push(make("h3", "", name), make("p", "", list.map((word) => word.term).join(" · ")));
  }
  parts.push(make("h3", "", "Documents in its middle"));
  for (const { id, text } of representative) parts.push(make("blockquote", "", null, make("div", "", text), make("cite", "", id)));
  if (!representative.length) parts.push(make("p", "facts", "none kept"));
  const split = split_from === undefined || split_from === null ? "" : `, split from topic ${split_from}`;
  parts.push(make("p", "facts", `since version ${created_version}${split}`));
  row.inside.replaceChildren(...parts);
}

/** Puts the rows in the order asked for and hides those that the filter leaves out. Rows in place are not touched, so
    that focus and selection stay. */
function arrange() {
  const order = at("order").value, word = found ? "" : at("query").value.trim().toLowerCase();
  const recent = (topic) => (topic.history ?? []).slice(-3).reduce((sum, count) => sum + count, 0);
  const rank = {
    size: (a, b) => b.size - a.size || a.id - b.id,
    recent: (a, b) => recent(b) - recent(a) || b.size - a.size,
    newest: (a, b) => b.created_version - a.created_version || b.id - a.id,
  }[order];
  const near = (topic) => found?.get(topic.id) ?? -2;
  const topics = [...latest.topics].sort(found ? (a, b) => near(b) - near(a) : rank);
  const body = at("rows");
  let place = body.firstElementChild, shownRows = 0;
  for (const topic of topics) {
    const row = rows.get(topic.id);
    const text = [topic.id, topic.name, ...topic.keywords.map((keyword) => keyword.term)].join(" ").toLowerCase();
    const shown = found ? found.has(topic.id) : text.includes(word);
    row.main.hidden = !shown;
    row.details.hidden = !(shown && row.open);
    shownRows += shown;
    if (row.main === place) {
      place = row.details.nextElementSibling;
    } else {
      body.insertBefore(row.main, place);
      body.insertBefore(row.details, place);
    }
  }
  at("empty").hidden = shownRows > 0;
  say(at("empty"), latest.topics.length ? "No topic has this word; press Enter to find topics by meaning." : waitingFor(latest));
  body.parentElement.hidden = shownRows === 0;
}

/** What the first topics wait for, and how long yet. */
function waitingFor({ documents, refit_at, refitting }) {
  if (refitting) return `Finding the first topics in ${number.format(documents)} documents. This takes some seconds.`;
  if (!refit_at || documents >= refit_at) return "No topics yet. They appear after the first refit.";
  const soon = rate > 0 ? `, in about ${duration((refit_at - documents) / rate)}` : "";
  return `Reading: ${number.format(documents)} of the ${number.format(refit_at)} documents that the first refit needs. The first topics appear then${soon}.`;
}

function flash(element, kind) {
  element.classList.remove(kind);
  void element.offsetWidth; // lets the animation start anew
  element.classList.add(kind);
}

function reveal(id) {
  const row = rows.get(id);
  if (!row) return seek(id);
  leaveFound();
  at("query").value = "";
  arrange();
  toggle(row, true);
  row.main.scrollIntoView({ block: "center", behavior: "smooth" });
  row.name.focus({ preventScroll: true });
  flash(row.main, "marked");
}

/** Says what became of a topic that is no more, and leads to the one that took it in. */
async function seek(id) {
  try {
    const topic = await ask(`api/topics/${id}`);
    if (!rows.has(topic.id)) return note(`Topic ${id} comes in a moment.`);
    reveal(topic.id);
    note(`Topic ${id} was merged into topic ${topic.id}.`);
  } catch (error) {
    note(error.message);
  }
}

function note(text) {
  say(at("found"), text);
  at("found").hidden = false;
}

/** `#topic-27` in the address leads to topic 27. */
function revealLinked() {
  const linked = /^#topic-(\d+)$/.exec(location.hash);
  if (linked) reveal(Number(linked[1]));
}

async function findByMeaning(question) {
  try {
    const { topics } = await ask(`api/find?limit=10&q=${encodeURIComponent(question)}`);
    found = new Map(topics.map((topic) => [topic.id, topic.similarity]));
    note(`Topics nearest in meaning to “${question}”; clear the field for all.`);
  } catch (error) {
    found = null;
    note(`The question could not be answered: ${error.message}`);
  }
  showTopics(latest);
}

function leaveFound() {
  found = null;
  at("found").hidden = true;
}

at("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const question = at("query").value.trim();
  if (question) findByMeaning(question);
});
at("query").addEventListener("input", () => {
  leaveFound();
  showTopics(latest);
});
at("order").addEventListener("change", arrange);
window.addEventListener("hashchange", revealLinked);

// ---------------------------------------------------------------------------------------------------------- events

const trending = new Map(); // topic id → when it was last said to be trending

async function drainEvents() {
  for (;;) {
    const { events } = await ask(`api/events?after=${seq}`);
    const fresh = events.filter((event) => event.seq > seq);
    for (const event of fresh) showEvent(event);
    if (fresh.length) seq = fresh[fresh.length - 1].seq;
    if (fresh.length < EVENTS_PER_ANSWER) break;
  }
  at("quiet").hidden = at("events").childElementCount > 0;
}

function showEvent(event) {
  const when = new Date(event.time), list = at("events");
  if (event.type === "topic.trending") trending.set(event.topic, when.getTime());
  const time = make("time", "", when.toLocaleTimeString());
  time.dateTime = event.time;
  time.title = when.toLocaleString();
  const summary = make("p");
  if (event.topic === null || event.topic === undefined) {
    say(summary, event.summary);
  } else {
    const go = make("button", "", event.summary);
    go.type = "button";
    go.addEventListener("click", () => reveal(event.topic));
    summary.append(go);
  }
  const item = make("li", "", null, time, make("span", "kind", KIND[event.type] ?? event.type), summary);
  item.dataset.kind = event.type;
  item.hidden = hiddenKind(event.type);
  list.prepend(item);
  while (list.childElementCount > EVENTS_SHOWN) list.lastElementChild.remove();
}

function hiddenKind(kind) {
  const wanted = at("kind").value;
  return wanted !== "" && wanted !== kind;
}

function forgetEvents() {
  seq = 0;
  trending.clear();
  at("events").replaceChildren();
}

at("kind").addEventListener("change", () => {
  for (const item of at("events").children) item.hidden = hiddenKind(item.dataset.kind);
});

poll();
