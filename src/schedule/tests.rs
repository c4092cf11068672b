//! Slots in zones that change their clocks, in zones that do not, and clocks that are set.
