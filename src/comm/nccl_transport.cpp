#include "comm/nccl_transport.h"

#include <ATen/ATen.h>
#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAGuard.h>

#include <chrono>
#include <exception>
#include <stdexcept>
#include <thread>
#include <utility>

#include "base/check.h"
#include "comm/peer_transfers.h"

namespace granule {

namespace {

constexpr std::chrono::microseconds kPoll{50};
constexpr std::chrono::seconds kAbortPatience{1};
constexpr std::chrono::milliseconds kSpin{1};  // most calls settle long before a sleep would end

ncclDataType_t nccl_type(at::ScalarType dtype) {
  if (dtype == at::kFloat) return ncclFloat32;
  if (dtype == at::kDouble) return ncclFloat64;
  CHECK(dtype == at::kLong, "no reduction for ", dtype);
  return ncclInt64;
}

// True once the device has passed `event`, and if it never will. The watching thread asks too, and has no
// device of its own: CUDA would take up memory on GPU 0 for it.
bool has_passed(const at::cuda::CUDAEvent& event) {
  try {
    const c10::cuda::CUDAGuard guard(event.device_index());
    if (cudaEventQuery(event.event()) != cudaErrorNotReady) return true;
    std::ignore = cudaGetLastError();  // "not ready" must not be found by the next check of an error
    return false;
  } catch (const c10::Error&) {
    return true;
  }
}

// A group of calls, ended also when one of them throws.
class OpenGroup {
 public:
  OpenGroup() = default;
  OpenGroup(const OpenGroup&) = delete;
  OpenGroup& operator=(const OpenGroup&) = delete;
  ~OpenGroup() { end(); }

  ncclResult_t end() { return std::exchange(is_open_, false) ? ncclGroupEnd() : ncclSuccess; }

 private:
  bool is_open_ = true;
};

}  // namespace

std::string nccl_version() {
  int version = 0;
  CHECK(ncclGetVersion(&version) == ncclSuccess, "ncclGetVersion");
  return join_text(version / 10000, ".", version / 100 % 100, ".", version % 100);
}

NcclTransport::NcclTransport(Communicator& group, at::Device device) : group_(group), device_(device) {
  const c10::cuda::CUDAGuard guard(device_);
  ncclUniqueId id{};
  if (group_.rank() == 0) check(ncclGetUniqueId(&id), "ncclGetUniqueId");
  const auto first = group_.broadcast_bytes(std::string(id.internal, sizeof(id.internal)), 0);
  std::copy(first.begin(), first.end(), id.internal);

  const auto entry = group_.log_entry("start of NCCL", 0);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;  // a blocked call could not be aborted
  check(ncclCommInitRankConfig(&comm_, group_.size(), id, group_.rank(), &config), "ncclCommInitRankConfig");
  wait_until_settled("ncclCommInitRankConfig");
  warm_up();
  c10::cuda::getCurrentCUDAStream(device_.index()).synchronize();
}

NcclTransport::~NcclTransport() {
  if (comm_ == nullptr) return;
  if (std::uncaught_exceptions() > 0) {
    abort();
    return;
  }
  // Errors here come after the work: nothing is lost by passing over them.
  if (ncclCommFinalize(comm_) == ncclInProgress) {
    ncclResult_t state = ncclInProgress;
    while (ncclCommGetAsyncError(comm_, &state) == ncclSuccess && state == ncclInProgress) {
      std::this_thread::sleep_for(kPoll);
    }
  }
  ncclCommDestroy(comm_);
}

// NCCL connects two ranks when they first talk; done here, a bad link shows at the start and the first step
// costs what later ones do.
void NcclTransport::warm_up() {
  const auto options = at::TensorOptions(device_).dtype(at::kFloat);
  const std::vector<int64_t> one_row_each(static_cast<size_t>(group_.size()), 1);
  auto all = at::zeros({group_.size()}, options), received = at::zeros_like(all),
       mine = at::zeros({1}, options);
  all_reduce(mine, Reduction::kSum);
  all_gather(mine, all);
  reduce_scatter_sum(all, mine);
  all_to_all_rows(all, one_row_each, received, one_row_each);
  broadcast(mine, 0);
}

void NcclTransport::run(const char* verb, int64_t bytes, const Issue& issue) {
  auto entry = group_.log_entry(verb, bytes);
  const c10::cuda::CUDAGuard guard(device_);
  const auto stream = c10::cuda::getCurrentCUDAStream(device_.index());
  wait_until_settled(verb);
  {
    const std::lock_guard lock(mutex_);
    check_not_aborted(verb);
    issue(stream);
  }
  wait_until_settled(verb);
  const auto done = std::make_shared<at::cuda::CUDAEvent>();
  done->record(stream);
  entry.finish_when([done] { return has_passed(*done); });
}

void NcclTransport::check(ncclResult_t result, const char* call) {
  if (result == ncclSuccess || result == ncclInProgress) return;
  throw std::runtime_error(join_text(call, " in group ", group_.name(), ": ", ncclGetErrorString(result),
                                     ": ", ncclGetLastError(comm_)));
}

void NcclTransport::check_not_aborted(const char* call) const {
  if (comm_ == nullptr) throw std::runtime_error(join_text(call, " in group ", group_.name(), ": aborted"));
}

void NcclTransport::wait_until_settled(const char* call) {
  const auto begun = std::chrono::steady_clock::now();
  const auto pause = [&] {
    if (std::chrono::steady_clock::now() - begun < kSpin) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(kPoll);
    }
  };
  for (;; pause()) {
    const std::lock_guard lock(mutex_);
    check_not_aborted(call);
    ncclResult_t state = ncclSuccess;
    check(ncclCommGetAsyncError(comm_, &state), "ncclCommGetAsyncError");
    check(state, call);
    if (state == ncclSuccess) return;
  }
}

void NcclTransport::all_reduce(at::Tensor& tensor, Reduction reduction) {
  if (reduction == Reduction::kMax) {
    // NCCL leaves open what a maximum makes of NaN; ours passes it on.
    auto all = at::empty({group_.size(), tensor.numel()}, tensor.options());
    all_gather(tensor, all);
    tensor.copy_(at::amax(all, 0).view(tensor.sizes()));
    return;
  }
  run("all_reduce_sum", tensor.nbytes(), [&](cudaStream_t stream) {
    check(
        ncclAllReduce(tensor.const_data_ptr(), tensor.mutable_data_ptr(), static_cast<size_t>(tensor.numel()),
                      nccl_type(tensor.scalar_type()), ncclSum, comm_, stream),
        "ncclAllReduce");
  });
}

void NcclTransport::all_gather(const at::Tensor& mine, at::Tensor& all) {
  run("all_gather", mine.nbytes(), [&](cudaStream_t stream) {
    check(
        ncclAllGather(mine.const_data_ptr(), all.mutable_data_ptr(), mine.nbytes(), ncclInt8, comm_, stream),
        "ncclAllGather");
  });
}

void NcclTransport::reduce_scatter_sum(const at::Tensor& all, at::Tensor& mine) {
  run("reduce_scatter_sum", all.nbytes(), [&](cudaStream_t stream) {
    check(ncclReduceScatter(all.const_data_ptr(), mine.mutable_data_ptr(), static_cast<size_t>(mine.numel()),
                            nccl_type(all.scalar_type()), ncclSum, comm_, stream),
          "ncclReduceScatter");
  });
}

void NcclTransport::all_to_all_rows(const at::Tensor& sent, std::span<const int64_t> send_rows,
                                    at::Tensor& received, std::span<const int64_t> receive_rows) {
  const auto transfers = peer_transfers(group_.rank(), send_rows, receive_rows, row_bytes(sent));
  const auto* source = static_cast<const std::byte*>(sent.const_data_ptr());
  auto* target = static_cast<std::byte*>(received.mutable_data_ptr());
  run("all_to_all_rows", sent.nbytes(), [&](cudaStream_t stream) {
    check(ncclGroupStart(), "ncclGroupStart");
    OpenGroup group;
    for (const auto& [peer, offset, bytes] : transfers.sends) {
      check(ncclSend(source + offset, static_cast<size_t>(bytes), ncclInt8, peer, comm_, stream), "ncclSend");
    }
    for (const auto& [peer, offset, bytes] : transfers.receives) {
      check(ncclRecv(target + offset, static_cast<size_t>(bytes), ncclInt8, peer, comm_, stream), "ncclRecv");
    }
    check(group.end(), "ncclGroupEnd");
  });
}

void NcclTransport::broadcast(at::Tensor& tensor, int root) {
  run("broadcast", tensor.nbytes(), [&](cudaStream_t stream) {
    check(ncclBroadcast(tensor.const_data_ptr(), tensor.mutable_data_ptr(), tensor.nbytes(), ncclInt8, root,
                        comm_, stream),
          "ncclBroadcast");
  });
}

void NcclTransport::abort() {
  // A launch that blocks for good holds it; the process ends all the same.
  const std::unique_lock lock(mutex_, kAbortPatience);
  if (lock && comm_ != nullptr) ncclCommAbort(std::exchange(comm_, nullptr));
}

}  // namespace granule
