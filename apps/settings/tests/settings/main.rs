//! Settings as the programs read them, over environments and files that exist only in a test.

mod control;
mod gateway;
mod layers;
mod world;
