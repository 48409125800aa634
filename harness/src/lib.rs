//! imalab: drives the IMA measurement list of a real kernel and proves that no record was lost.
