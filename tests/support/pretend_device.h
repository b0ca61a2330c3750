#pragma once
// A device made of host memory that behaves like a GPU where our code can go wrong: its addresses cannot be
// read or written by the host (trying ends the program), an operator refuses tensors of several devices, and
// the backward pass runs on a thread of its own. What it computes, LibTorch's CPU operators compute; what
// CUDA's would is not shown.

#include <c10/core/Device.h>

namespace granule {

at::Device pretend_device();

}  // namespace granule
