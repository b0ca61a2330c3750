#include "comm/mpi_runtime.h"

#include <mpi.h>

#include <algorithm>
#include <cstdlib>

#include "base/check.h"
#include "comm/mpi_communicator.h"

namespace granule {

namespace {

int world_rank() {
  int rank = 0;
  check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank");
  return rank;
}

}  // namespace

MpiRuntime::MpiRuntime() {
  int provided = MPI_THREAD_SINGLE;
  check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
  CHECK(provided >= MPI_THREAD_SERIALIZED, "this MPI supports thread level ", provided);
}

MpiRuntime::~MpiRuntime() {
  MPI_Finalize();
}

std::unique_ptr<Communicator> MpiRuntime::world(std::shared_ptr<CollectiveLog> log) const {
  MPI_Comm all = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &all), "MPI_Comm_dup");
  return std::make_unique<MpiCommunicator>("world", all, std::move(log));
}

std::unique_ptr<Communicator> MpiRuntime::machine(std::shared_ptr<CollectiveLog> log) const {
  MPI_Comm machine = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, world_rank(), MPI_INFO_NULL, &machine),
            "MPI_Comm_split_type");
  return std::make_unique<MpiCommunicator>("machine", machine, std::move(log));
}

std::unique_ptr<Communicator> MpiRuntime::group(const std::string& name, std::span<const int> ranks,
                                                std::shared_ptr<CollectiveLog> log) const {
  const auto self = std::find(ranks.begin(), ranks.end(), world_rank());
  CHECK(self != ranks.end(), "rank ", world_rank(), " is not in its group ", name);
  // Groups are disjoint, so the lowest rank tells them apart.
  const int color = *std::min_element(ranks.begin(), ranks.end());
  MPI_Comm members = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split(MPI_COMM_WORLD, color, static_cast<int>(self - ranks.begin()), &members),
            "MPI_Comm_split");
  auto made = std::make_unique<MpiCommunicator>(name, members, std::move(log));
  CHECK(made->size() == static_cast<int>(ranks.size()), "group ", name, " of ", ranks.size(),
        " ranks became ", made->size());
  return made;
}

void MpiRuntime::abort(int code) {
  MPI_Abort(MPI_COMM_WORLD, code);
  std::_Exit(code);
}

}  // namespace granule
