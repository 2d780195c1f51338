//! The rules of the game: calls, planners, drivers, authorization, audit.
