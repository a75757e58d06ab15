// muster models push, list, show, rm
#include <cstdio>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/call.h"
#include "client/commands/commands.h"
#include "client/model_files.h"
#include "client/transfer.h"
#include "client/list_table.h"
#include "client/words.h"
#include "common/clock.h"
#include "common/exit_code.h"
#include "common/rpc/blobs.h"
#include "muster/v1/model.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::ModelService;

struct PushFlags {
  std::string name, folder, request_id;
  bool replace = false;
};

std::string Describe(const muster::v1::Model& model) {
  if (model.architecture().empty()) return absl::StrCat("a vocabulary of ", WithThousands(model.vocabulary_size()));
  return absl::StrCat(model.architecture(), ", ", Plural(model.layers(), "layer"), ", hidden size ",
                      model.hidden_size(), ", vocabulary of ", WithThousands(model.vocabulary_size()));
}

void PrintNotes(const muster::v1::Model& model) {
  for (const std::string& note : model.notes()) std::printf("note: %s\n", note.c_str());
}

std::string PoolingText(muster::v1::Pooling pooling) {
  const std::string name = muster::v1::Pooling_Name(pooling);
  return absl::AsciiStrToLower(absl::StripPrefix(name, "POOLING_"));
}

// The facts about the model's folder that jobs use. Absent for models pushed by a version that did not record them.
std::string UseText(const muster::v1::Model& model) {
  if (model.embedding_size() == 0) return "";
  std::string text = absl::StrCat("pooling ", PoolingText(model.pooling()), model.normalize() ? ", normalized" : "",
                                  ", embeddings of ", model.embedding_size(), " numbers, at most ", model.max_length(),
                                  " tokens");
  if (model.exclude_prompt()) absl::StrAppend(&text, ", the prompt stays out of pooling");
  return text;
}

std::string OwnerText(const std::string& owner) { return owner.empty() ? "-" : owner; }

absl::StatusOr<muster::v1::FileManifest> PutFiles(const std::shared_ptr<grpc::Channel>& channel,
                                                  const std::filesystem::path& folder, const ModelFiles& files,
                                                  TransferPrinter& printer) {
  BlobClient blobs(channel);
  uint64_t total = 0, before = 0;
  std::error_code error;
  for (const std::string& name : files.chosen) total += std::filesystem::file_size(folder / name, error);
  muster::v1::FileManifest manifest;
  for (const std::string& name : files.chosen) {
    const auto progress = [&](uint64_t bytes, uint64_t) {
      printer.Update(before + bytes, total, name, RealClock().Monotonic());
    };
    ASSIGN_OR_RETURN(*manifest.add_files(), blobs.PutFile(folder / name, name, progress));
    before += manifest.files().rbegin()->size();
  }
  return manifest;
}

absl::StatusOr<int> Push(const Cli& cli, const PushFlags& flags) {
  const auto files = ChooseModelFiles(flags.folder);
  if (!files.ok()) return WithContext(files.status(), "models push");
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  ASSIGN_OR_RETURN(const auto channel, connection.Data());
  const bool table = cli.output == OutputFormat::kTable;
  if (table && !files->left_out.empty()) {
    std::printf("left out, because they are not needed: %s\n", absl::StrJoin(files->left_out, ", ").c_str());
  }
  TransferPrinter printer(table ? stdout : nullptr, StyleOf(stdout), "sending", RealClock().Monotonic());
  auto manifest = PutFiles(channel, flags.folder, *files, printer);
  printer.Finish();
  if (!manifest.ok()) return WithContext(ExplainUnreachable(manifest.status()), "models push");
  muster::v1::PushModelRequest request;
  request.set_name(flags.name);
  *request.mutable_files() = *std::move(manifest);
  request.set_request_id(RequestIdOr(flags.request_id));
  request.set_replace(flags.replace);
  const auto stub = ModelService::NewStub(channel);
  const auto response = Call(*stub, &ModelService::Stub::PushModel, request, {.patience = absl::Seconds(20)});
  if (!response.ok()) return WithContext(response.status(), "models push");
  const muster::v1::Model& model = response->model();
  if (!table) {
    std::printf("%s", Format(model, cli.output).c_str());
  } else {
    std::printf("pushed %s: %s, %s\n", model.name().c_str(), Describe(model).c_str(), SizeText(model.bytes()).c_str());
    if (const std::string use = UseText(model); !use.empty()) std::printf("%s\n", use.c_str());
    PrintNotes(model);
  }
  return kExitSucceeded;
}

absl::StatusOr<int> Show(const Cli& cli, const std::string& name) {
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  ASSIGN_OR_RETURN(const auto channel, connection.Data());
  const auto stub = ModelService::NewStub(channel);
  muster::v1::PullModelRequest request;
  request.set_name(name);
  const auto response = Call(*stub, &ModelService::Stub::PullModel, request);
  if (!response.ok()) return WithContext(response.status(), "models show");
  const muster::v1::Model& model = response->model();
  if (cli.output != OutputFormat::kTable) {
    std::printf("%s", Format(model, cli.output).c_str());
    return kExitSucceeded;
  }
  const auto line = [](const char* label, const std::string& text) {
    if (!text.empty()) std::printf("%-16s %s\n", label, text.c_str());
  };
  const auto quoted = [](const std::string& text) {
    return text.empty() ? "" : absl::StrCat("\"", absl::CHexEscape(text), "\"");
  };
  line("name", model.name());
  line("what", Describe(model));
  line("use", UseText(model));
  line("query prompt", quoted(model.prompts().query()));
  line("passage prompt", quoted(model.prompts().passage()));
  line("size", SizeText(model.bytes()));
  line("owner", OwnerText(model.owner()));
  line("pushed", TimeText(model.pushed()));
  line("digest", model.manifest());
  PrintNotes(model);
  return kExitSucceeded;
}

absl::StatusOr<int> ListModels(const Cli& cli, bool wide) {
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  ASSIGN_OR_RETURN(const auto channel, connection.Data());
  const auto stub = ModelService::NewStub(channel);
  const auto response = CallAllPages(*stub, &ModelService::Stub::ListModels, muster::v1::ListModelsRequest());
  if (!response.ok()) return WithContext(response.status(), "models list");
  if (cli.output != OutputFormat::kTable) {
    std::printf("%s", Format(*response, cli.output).c_str());
    return kExitSucceeded;
  }
  Table table({"NAME", "WHAT", "SIZE", "OWNER", "PUSHED", "DIGEST"});
  for (const auto& model : response->models()) {
    table.Add({model.name(), Describe(model), SizeText(model.bytes()), OwnerText(model.owner()),
               TimeCell(model.pushed(), wide), model.manifest().substr(0, 12)});
  }
  PrintTable(table, wide);
  return kExitSucceeded;
}

absl::StatusOr<int> RemoveModel(const Cli& cli, const std::string& name, const std::string& request_id) {
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  ASSIGN_OR_RETURN(const auto channel, connection.Data());
  const auto stub = ModelService::NewStub(channel);
  muster::v1::DeleteModelRequest request;
  request.set_name(name);
  request.set_request_id(RequestIdOr(request_id));
  const auto response = Call(*stub, &ModelService::Stub::DeleteModel, request);
  if (!response.ok()) return WithContext(response.status(), "models rm");
  if (cli.output == OutputFormat::kTable) std::printf("removed model %s\n", name.c_str());
  return kExitSucceeded;
}

}  // namespace

void AddModelsCommands(CLI::App& app, Cli& cli) {
  CLI::App* models = app.add_subcommand("models", "Push, list, show and remove models")->fallthrough();
  models->require_subcommand(1);
  auto flags = std::make_shared<PushFlags>();
  CLI::App* push =
      models->add_subcommand("push", "Push a Hugging Face folder, or a folder with only a tokenizer")->fallthrough();
  push->add_option("name", flags->name, "Name of the model")->required()->type_name("NAME");
  push->add_option("dir", flags->folder, "Folder of the model")->required()->type_name("DIR");
  push->add_option("--request-id", flags->request_id, "Id of this request; repeating the push with it changes nothing")
      ->type_name("ID");
  push->add_flag("--replace", flags->replace, "Replace an existing model; submitted jobs keep the old one");
  push->callback([&cli, flags] { cli.action = [&cli, flags] { return Push(cli, *flags); }; });
  auto wide = std::make_shared<bool>(false);
  CLI::App* list = models->add_subcommand("list", "List models")->fallthrough();
  AddWideFlag(*list, cli, *wide);
  list->callback([&cli, wide] { cli.action = [&cli, wide] { return ListModels(cli, *wide); }; });
  auto shown = std::make_shared<std::string>();
  CLI::App* show = models->add_subcommand("show", "Show what jobs use of a model, and its notes")->fallthrough();
  show->add_option("name", *shown, "Name of the model")->required()->type_name("NAME");
  show->callback([&cli, shown] { cli.action = [&cli, shown] { return Show(cli, *shown); }; });
  auto name = std::make_shared<std::string>();
  CLI::App* remove = models->add_subcommand("rm", "Remove a model; submitted jobs keep theirs")->fallthrough();
  remove->add_option("name", *name, "Name of the model")->required()->type_name("NAME");
  auto request_id = std::make_shared<std::string>();
  remove->add_option("--request-id", *request_id, "Id of this request; repeating it changes nothing")->type_name("ID");
  remove->callback([&cli, name, request_id] { cli.action = [&cli, name, request_id] { return RemoveModel(cli, *name, *request_id); }; });
}

}  // namespace muster
