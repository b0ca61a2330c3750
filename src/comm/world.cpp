#include "comm/world.h"

#include <ATen/Parallel.h>
#include <c10/util/Exception.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "base/heap.h"
#include "base/log.h"
#include "comm/core_set.h"
#include "comm/host_allocator.h"
#include "comm/loopback_communicator.h"
#include "comm/mpi_runtime.h"

namespace granule {

namespace {

// Ranks that hang together time out within moments of one another; each may say where it waits before the
// first one ends them all. They abort one after the other: mpirun may crash over aborts that come together.
constexpr std::chrono::milliseconds kLastWords{500};

// Should the launcher or a device not answer on the way out, SIGALRM ends the process.
constexpr unsigned kAbortSeconds = 10;

// What is wrong for all ranks alike (a config, a file) is said by rank 0, which ends the job; another rank
// speaks only if rank 0 had nothing to say.
constexpr std::chrono::milliseconds kAfterRankZero{1000};

bool is_set(const char* variable) {
  return std::getenv(variable) != nullptr;
}

bool started_by_mpirun() {
  return is_set("OMPI_COMM_WORLD_SIZE");
}
bool started_by_launcher() {
  return started_by_mpirun() || is_set("PMIX_RANK") || is_set("PMI_RANK");
}

// 0 if unset or no number; OpenMP itself complains about the latter. "4,2" means 4 for the outer level.
int requested_threads() {
  const char* text = std::getenv("OMP_NUM_THREADS");
  return text == nullptr ? 0 : std::atoi(text);
}

// The text and the exit code of the exception being handled.
std::pair<std::string, ExitCode> current_failure() {
  try {
    throw;
  } catch (const UserError& error) {
    return {error.what(), error.code()};
  } catch (const c10::Error& error) {
    return {error.what_without_backtrace(), ExitCode::kInternal};
  } catch (const std::exception& error) {
    return {error.what(), ExitCode::kInternal};
  } catch (...) {
    return {"an exception of unknown type", ExitCode::kInternal};
  }
}

}  // namespace

World::World() : log_(std::make_shared<CollectiveLog>()) {
  if (started_by_launcher()) {
    mpi_ = std::make_unique<MpiRuntime>();
    all_ = mpi_->world(log_);
    machine_ = mpi_->machine(log_);
    std::vector<int> ranks(static_cast<size_t>(all_->size()));
    std::iota(ranks.begin(), ranks.end(), 0);
    all_->set_world_ranks(ranks);
  } else {
    all_ = std::make_unique<LoopbackCommunicator>("world", log_);
    machine_ = std::make_unique<LoopbackCommunicator>("machine", log_);
  }
  set_log_rank(rank(), size());
  choose_num_threads();
}

World::~World() {
  // Communicators end before MPI does.
  machine_.reset();
  all_.reset();
}

void World::choose_num_threads() {
  const auto own = CoreSet::of_process(0);
  auto machine = own;
  for (auto& bytes : machine_->all_gather_bytes(own.bytes()))
    machine.add(CoreSet::from_bytes(std::move(bytes)));
  // mpirun binds its ranks, by default each to one core, but not itself.
  if (started_by_mpirun()) machine.add(CoreSet::of_process(getppid()));
  const auto choice = choose_threads(requested_threads(), own, machine, local_size());
  num_threads_ = choice.num_threads;
  at::set_num_threads(num_threads_);
  if (rank() == 0 && !choice.warning.empty()) log_warning(choice.warning);
}

std::unique_ptr<Communicator> World::group(const std::string& name, std::span<const int> ranks) {
  if (mpi_) {
    auto made = mpi_->group(name, ranks, log_);
    made->set_world_ranks(ranks);
    return made;
  }
  CHECK(ranks.size() == 1 && ranks[0] == 0, "group ", name, " of ", ranks.size(), " ranks in a world of one");
  return std::make_unique<LoopbackCommunicator>(name, log_);
}

std::unique_ptr<HangWatchdog> World::watch_for_hangs(std::chrono::milliseconds timeout) {
  return std::make_unique<HangWatchdog>(log_, timeout, [this](const std::string& text) {
    log_error(text);
    std::this_thread::sleep_for(kLastWords * (1 + std::min(rank(), 10)));
    abort(ExitCode::kHang);
  });
}

void World::abort_with_job(std::weak_ptr<DeviceTransport> transport) {
  const std::lock_guard lock(transports_mutex_);
  transports_.push_back(std::move(transport));
}

void World::abort(ExitCode code) {
  alarm(kAbortSeconds);
  {
    const std::lock_guard lock(transports_mutex_);
    for (const auto& weak : transports_) {
      if (const auto transport = weak.lock()) transport->abort();
    }
  }
  if (mpi_) MpiRuntime::abort(static_cast<int>(code));
  std::_Exit(static_cast<int>(code));
}

int run_in_world(const std::function<int(World&)>& body) {
  keep_freed_memory();
  use_host_allocator();
  // Beyond RLIMIT_FSIZE a write then fails as on a full disk, and is reported as such.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    World world;
    try {
      return body(world);
    } catch (...) {
      const auto [text, code] = current_failure();
      if (world.rank() > 0) std::this_thread::sleep_for(kAfterRankZero);
      log_error(text);
      if (world.size() > 1) world.abort(code);
      return static_cast<int>(code);
    }
  } catch (...) {
    log_error(current_failure().first);
    return static_cast<int>(ExitCode::kInternal);
  }
}

}  // namespace granule
