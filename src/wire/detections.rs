//! `label;conf;xmin;ymin;xmax;ymax|...` -> [`Detection`](crate::frame::Detection) (wire.md section 2.1).
