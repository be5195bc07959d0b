//! The machine as its driver sees it: rule by rule, over well-formed requests, over hostile bytes, and over a corpus.

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod driver;
#[cfg(test)]
mod malformed;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod well_formed;
