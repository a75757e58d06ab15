#include "coordinator/data/service/store_watch.h"

#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include "absl/time/clock.h"
#include "common/digest.h"
#include "common/clock.h"
#include "common/files.h"

namespace muster {
namespace {

TEST(StoreWatch, FollowsWhatIsStored) {
  const std::filesystem::path folder = *MakeScratchFolder(testing::TempDir(), "watch");
  auto stores = OpenDataStores(folder, RealClock());
  ASSERT_TRUE(stores.ok()) << stores.status();
  MetricRegistry metrics(MetricProgram::kData, "1");
  const auto text = [&] { return prometheus::TextSerializer().Serialize(metrics.registry()->Collect()); };
  {
    const StoreWatch watch(**stores, folder, metrics, absl::Milliseconds(5), absl::Milliseconds(5));
    EXPECT_NE(text().find("muster_datasets 0\n"), std::string::npos) << text();
    EXPECT_EQ(text().find("muster_state_size_bytes 0\n"), std::string::npos) << text();
    const std::string blob(12345, 'x');
    ASSERT_TRUE((*stores)->blobs->PutBytes(Sha256Hex(blob), blob).ok());
    muster::v1::Dataset dataset;
    dataset.set_name("d");
    ASSERT_TRUE((*stores)->catalogue->PutDataset(dataset).ok());
    const absl::Time until = absl::Now() + absl::Seconds(30);
    for (const char* line : {"muster_store_bytes{kind=\"blobs\"} 12345\n", "muster_datasets 1\n"}) {
      while (text().find(line) == std::string::npos) {
        ASSERT_LT(absl::Now(), until) << line << " did not come in " << text();
        absl::SleepFor(absl::Milliseconds(5));
      }
    }
  }
  std::filesystem::remove_all(folder);
}

TEST(BytesBelow, IsZeroWhereThereIsNoFolder) { EXPECT_EQ(BytesBelow("/nowhere/at/all"), 0); }

}  // namespace
}  // namespace muster
