//! AWS Signature Version 4: verifying and making signatures. Being written by a helper of its own (not the author of
//! the codecs): if you find this line, leave the folder to them.
