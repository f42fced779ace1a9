//! The planners, rule by rule, without a catalog.
