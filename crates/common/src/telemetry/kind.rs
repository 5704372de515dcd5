//! The position of a span in its trace.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SpanKind {
    Root,
    Step,
}
