#include "train/checkpoint.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "tests/support/checkpoint_run.h"
#include "tests/support/temporary_directory.h"

namespace granule {
namespace {

namespace fs = std::filesystem;

class CheckpointTest : public testing::Test {
 protected:
  void SetUp() override {
    state_ = write_coded_checkpoint(run_.path("c"), 2, 2, 2);
    path_ = run_.path("c/step-0000002");
  }

  // What opening and hashing says; empty if all is well.
  std::string problem() const {
    try {
      const Checkpoint checkpoint(path_);
      for (size_t i = 0; i < checkpoint.manifest().files.size(); ++i) checkpoint.verify_file(i);
      return "";
    } catch (const InputError& error) {
      return error.what();
    }
  }
  std::string bytes_of(const std::string& name) const { return read_text_file(path_ + "/" + name, 1 << 24); }
  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path_ + "/" + name, std::ios::binary | std::ios::trunc) << bytes;
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path_)) names.push_back(entry.path().filename());
    return names;
  }

  TemporaryDirectory run_;
  std::string path_;
  NamedState state_;
};

TEST_F(CheckpointTest, ReadsAnyRangeOfAnyParameter) {
  const Checkpoint checkpoint(path_);
  EXPECT_EQ(problem(), "");
  EXPECT_EQ(checkpoint.manifest().parameters.size(), state_.size());
  for (const auto& [name, tensors] : state_) {
    const auto* parameter = checkpoint.manifest().find(name);
    ASSERT_NE(parameter, nullptr) << name;
    const int64_t n = parameter->num_elements();
    for (const auto& [begin, end] :
         std::vector<std::pair<int64_t, int64_t>>{{0, n}, {1, n - 1}, {n / 2, n / 2 + 1}, {n, n}}) {
      for (const auto tensor : kStateTensors) {
        std::vector<float> values(static_cast<size_t>(end - begin));
        checkpoint.read(tensor, *parameter, begin, values);
        const auto* expected = tensors[1 + static_cast<size_t>(tensor)].const_data_ptr<float>();
        EXPECT_TRUE(std::equal(values.begin(), values.end(), expected + begin)) << name;
      }
    }
  }
}

TEST_F(CheckpointTest, ABitFlippedAnywhereIsFoundAndItsFileNamed) {
  for (const auto& name : files()) {
    const auto original = bytes_of(name);
    const size_t stride = std::max<size_t>(1, original.size() / 60);
    for (size_t i = 0; i < original.size(); i += i < 32 ? 1 : stride) {
      auto damaged = original;
      damaged[i] = static_cast<char>(damaged[i] ^ 1 << i % 8);
      write(name, damaged);
      EXPECT_NE(problem().find(name), std::string::npos) << name << " byte " << i << ": " << problem();
    }
    write(name, original);
  }
  EXPECT_EQ(problem(), "");
}

TEST_F(CheckpointTest, ATruncatedOrGrownFileIsFoundAndNamed) {
  for (const auto& name : files()) {
    const auto original = bytes_of(name);
    for (const size_t size :
         {size_t{0}, size_t{1}, size_t{7}, size_t{8}, original.size() / 2, original.size() - 1}) {
      write(name, original.substr(0, size));
      EXPECT_NE(problem().find(name), std::string::npos) << name << " of " << size << " bytes: " << problem();
    }
    write(name, original + "x");
    EXPECT_NE(problem().find(name), std::string::npos);
    write(name, original);
  }
}

TEST_F(CheckpointTest, DamageInATensorNamesTheTensor) {
  auto bytes = bytes_of("rank-00001.safetensors");
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write("rank-00001.safetensors", bytes);
  const auto said = problem();
  // Of equal dtype the last name comes last.
  EXPECT_NE(said.find("parameter/"), std::string::npos) << said;
  EXPECT_NE(said.find("was written with"), std::string::npos) << said;
}

TEST_F(CheckpointTest, MissingExtraAndSwappedFilesAreFound) {
  const auto first = bytes_of("rank-00000.safetensors"), second = bytes_of("rank-00001.safetensors");
  for (const auto& name : files()) {
    const auto original = bytes_of(name);
    fs::remove(path_ + "/" + name);
    EXPECT_NE(problem().find(name), std::string::npos) << problem();
    write(name, original);
  }
  write("rank-00004.safetensors", first);
  EXPECT_NE(problem().find("rank-00004.safetensors"), std::string::npos);
  fs::remove(path_ + "/rank-00004.safetensors");

  write("rank-00000.safetensors", second);
  write("rank-00001.safetensors", first);
  EXPECT_NE(problem().find("rank-00000.safetensors"), std::string::npos);
  write("rank-00000.safetensors", first);
  write("rank-00001.safetensors", second);
  EXPECT_EQ(problem(), "");
}

// With hashing switched off, a shard in the place of another is still no source of wrong values.
TEST_F(CheckpointTest, ReadingFromASwappedFileFailsWithoutVerification) {
  fs::rename(path_ + "/rank-00000.safetensors", path_ + "/x");
  fs::rename(path_ + "/rank-00001.safetensors", path_ + "/rank-00000.safetensors");
  fs::rename(path_ + "/x", path_ + "/rank-00001.safetensors");
  const auto read_all = [&] {
    const Checkpoint checkpoint(path_);
    for (const auto& parameter : checkpoint.manifest().parameters) {
      std::vector<float> values(static_cast<size_t>(parameter.num_elements()));
      checkpoint.read(StateTensor::kParameter, parameter, 0, values);
    }
  };
  EXPECT_THROW(read_all(), InputError);
}

}  // namespace
}  // namespace granule
