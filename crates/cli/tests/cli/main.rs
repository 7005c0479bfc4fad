//! The real binary, from its command line to its files.
