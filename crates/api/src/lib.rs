//! Answers questions from Postgres, read-only; serves the dashboard.
