"""Containers in: their streams, ISO 639 languages, frames and samples on a clip grid."""
