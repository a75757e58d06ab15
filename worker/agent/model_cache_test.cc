#include "worker/agent/model_cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include "common/digest.h"
#include "common/files.h"
#include "common/process/child_process.h"

namespace muster {
namespace {

class ModelCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    cache_ = MakeScratchFolder(testing::TempDir(), "cache").value();
    trash_ = MakeScratchFolder(testing::TempDir(), "trash").value();
  }
  void TearDown() override {
    EXPECT_TRUE(std::filesystem::is_empty(trash_));
    std::filesystem::remove_all(cache_);
    std::filesystem::remove_all(trash_);
  }

  // A model of 1000 bytes that was used at second `used`.
  std::string Add(const std::string& name, int used) {
    const std::string digest = Sha256Hex(name);
    std::filesystem::create_directory(cache_ / digest);
    EXPECT_TRUE(WriteFileAtomically(cache_ / digest / "model.safetensors", std::string(1000, 'm')).ok());
    EXPECT_TRUE(WriteFileAtomically(cache_ / (digest + ".lock"), "").ok());
    MarkUsed(cache_, digest, absl::FromUnixSeconds(used));
    return digest;
  }
  bool Has(const std::string& digest) const { return std::filesystem::exists(cache_ / digest); }

  std::filesystem::path cache_, trash_;
  ModelsInUse in_use_;
};

TEST_F(ModelCacheTest, RemovesTheLeastRecentlyUsed) {
  const std::string old = Add("old", 1), older = Add("older", 2), recent = Add("recent", 3);
  MarkUsed(cache_, old, absl::FromUnixSeconds(10));
  EXPECT_EQ(PruneCache(cache_, 2500, in_use_, trash_), 1000u);
  EXPECT_FALSE(Has(older));
  EXPECT_TRUE(Has(old) && Has(recent));
  EXPECT_EQ(PruneCache(cache_, 2500, in_use_, trash_), 0u);
}

TEST_F(ModelCacheTest, KeepsWhatRanksUseOrFetch) {
  const std::string used = Add("used", 1), fetched = Add("fetched", 2), idle = Add("idle", 3);
  const OwnedFd lock(open((cache_ / (fetched + ".lock")).c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(flock(lock.get(), LOCK_EX), 0);
  in_use_.Use({{"a", 1}, 0}, {used});
  EXPECT_EQ(PruneCache(cache_, 0, in_use_, trash_), 1000u);
  EXPECT_TRUE(Has(used) && Has(fetched));
  EXPECT_FALSE(Has(idle));
  in_use_.Release({{"a", 1}, 0});
  EXPECT_EQ(PruneCache(cache_, 0, in_use_, trash_), 1000u);
  EXPECT_FALSE(Has(used));
}

}  // namespace
}  // namespace muster
