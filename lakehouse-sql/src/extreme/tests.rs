//! Extremes of floats and of windows, by every way of their values.
