//! From texts to keywords: tokens, counts, c-TF-IDF.
