//! Every body, on every instruction set of this machine, against the plain twin.
