//! Records, views, transactions and the journal.
