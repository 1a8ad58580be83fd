//! What is read from ECR and written to it.

pub(crate) mod apply;
pub(crate) mod convert;
pub(crate) mod load;
pub(crate) mod recreate;
pub(crate) mod stacks;
pub(crate) mod tag_index;
