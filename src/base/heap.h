#pragma once
// The process's heap, for programs that allocate the same large buffers step after step.

namespace granule {

/// Memory once freed stays mapped for the next allocation. By default glibc gives blocks of some hundred KiB back to
/// the system at once, and the next step pays for every page of them again (a tenth of a training step).
void keep_freed_memory();

/// Gives back what is free now, once, where much was needed on the way that will not be needed again.
void release_freed_memory();

}  // namespace granule
