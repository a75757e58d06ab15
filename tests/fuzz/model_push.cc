// A push: blobs with any digest and size, then a manifest with any paths. Laws: nothing is written outside of the
// store's folder, a stored blob matches its digest, and a model that is accepted has a tokenizer.
#include "common/digest.h"
#include "coordinator/data/blob/model_files.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/random_message.h"
#include "tests/fuzz/scratch.h"

namespace muster {
namespace {

constexpr const char* kPaths[] = {"config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json", "../x",
                                  "/etc/x", "a/b", "tokenizer.json", "modules.json", "1_Pooling/config.json"};

size_t FilesBelow(const std::filesystem::path& folder) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::recursive_directory_iterator(folder)) ++count;
  return count;
}

void Upload(BlobStore& blobs, ByteSource& source, muster::v1::FileManifest& files) {
  std::string content = source.Bytes();
  std::string digest = Sha256Hex(content);
  muster::v1::PutBlobHeader header;
  header.set_digest(source.Below(8) == 0 ? source.ShortBytes() : digest);
  header.set_size(source.Below(8) == 0 ? source.Take<uint64_t>() : content.size());
  header.set_offset(source.Below(8) == 0 ? source.Take<uint64_t>() : 0);
  absl::StatusOr<std::unique_ptr<BlobUpload>> upload = blobs.Upload(header);
  if (upload.ok()) {
    absl::Status status = (*upload)->Append(content);
    if (status.ok() && source.Below(8) != 0) status = (*upload)->Commit();
    upload->reset();
    if (status.ok() && blobs.PathOf(header.digest()).ok()) {
      FUZZ_CHECK(Sha256Hex(*ReadFile(*blobs.PathOf(header.digest()))) == header.digest(), "a blob with another digest");
    }
  }
  const size_t pick = source.Below(std::size(kPaths) + 1);
  std::string path = pick < std::size(kPaths) ? kPaths[pick] : source.ShortBytes();
  for (char& c : path) c = static_cast<char>(c & 0x7F);  // protobuf has refused what is not UTF-8
  muster::v1::FileEntry& file = *files.add_files();
  file.set_path(path);
  file.set_digest(header.digest());
  file.set_size(header.size());
}

void Push(ByteSource& source, const std::filesystem::path& root) {
  const size_t before = FilesBelow(root.parent_path()) - FilesBelow(root);
  std::filesystem::create_directories(root / "scratch");
  const auto blobs = BlobStore::Open(root / "blobs");
  FUZZ_CHECK(blobs.ok(), blobs.status().ToString());
  muster::v1::FileManifest files;
  while (!source.empty()) Upload(**blobs, source, files);
  const auto manifest = CanonicalManifest(files);
  if (manifest.ok()) {
    FUZZ_CHECK((*blobs)->PutBytes(manifest->digest, manifest->bytes).ok(), "a manifest that cannot be stored");
    FUZZ_CHECK(ReadManifestBlob(**blobs, manifest->digest).ok(), "a manifest that cannot be read");
    const auto model = CheckModel(**blobs, manifest->files, root / "scratch");
    if (model.ok()) {
      FUZZ_CHECK(LoadTokenizer(**blobs, manifest->files).ok(), "a model without a tokenizer");
      FUZZ_CHECK(TokenizerFiles(manifest->files).ok(), "a model without a vocabulary");
    }
  }
  FUZZ_CHECK(FilesBelow(root.parent_path()) - FilesBelow(root) == before, "a file outside of the store");
  FUZZ_CHECK(FilesBelow(root / "scratch") == 0, "scratch is left behind");
}

}  // namespace
}  // namespace muster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const muster::FuzzFolder scratch;
  muster::ByteSource source(data, size);
  muster::Push(source, scratch.Fresh("outer/state"));
  return 0;
}
