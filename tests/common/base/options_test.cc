#include "common/base/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <limits>

#include "tests/support/temporary_folder.h"

namespace kindred {
namespace {

using test::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using ::testing::ThrowsMessage;
using List = std::vector<std::string>;

Options sample() {
  Options options("kindred-train", "Trains an embedding.");
  options.accept_config_files();
  options.group("training");
  options.add("train.epochs", int64_t{10}, "passes over the training set");
  options.add("train.rate", 0.05, "peak learning rate");
  options.add("train.resume", false, "go on from the last checkpoint");
  options.add("train.shuffle", true, "draw in random order");
  options.group("data");
  options.add("data.list", List{}, "list file");
  options.add<std::string>("output", "run", "folder of the run");
  return options;
}

Options::Outcome parse(Options& options, const List& words) {
  std::vector<const char*> argv{"program"};
  for (const std::string& word : words) argv.push_back(word.c_str());
  return options.parse(static_cast<int>(argv.size()), argv.data());
}

Options parsed(const List& words) {
  Options options = sample();
  EXPECT_EQ(parse(options, words), Options::Outcome::run);
  return options;
}

void expect_usage_error(const List& words, const std::string& message) {
  EXPECT_THAT([&] { parsed(words); }, ThrowsMessage<UsageError>(message)) << ::testing::PrintToString(words);
}

void expect_config_error(const std::string& text, const std::string& message) {
  Options options = sample();
  EXPECT_THAT([&] { options.read_config(text, "demo.conf"); }, ThrowsMessage<UsageError>(HasSubstr(message)))
      << text;
}

TEST(Options, HaveTheirDefaultsWhenNothingIsGiven) {
  const Options options = parsed({});
  EXPECT_EQ(options.get<int64_t>("train.epochs"), 10);
  EXPECT_EQ(options.get<double>("train.rate"), 0.05);
  EXPECT_EQ(options.get<bool>("train.resume"), false);
  EXPECT_EQ(options.get<std::string>("output"), "run");
  EXPECT_THAT(options.get<List>("data.list"), IsEmpty());
  EXPECT_FALSE(options.given("train.epochs"));
  EXPECT_EQ(options.source("train.epochs"), "default");
}

TEST(Options, ReadValuesBehindAnEqualsSignOrASpace) {
  const Options options = parsed({"--train.epochs", "3", "--train.rate=1e-3", "--output", "my runs/a=b"});
  EXPECT_EQ(options.get<int64_t>("train.epochs"), 3);
  EXPECT_EQ(options.get<double>("train.rate"), 1e-3);
  EXPECT_EQ(options.get<std::string>("output"), "my runs/a=b");
  EXPECT_TRUE(options.given("train.epochs"));
  EXPECT_EQ(options.source("train.epochs"), "--train.epochs");
}

TEST(Options, TakeNegativeNumbers) {
  const Options options = parsed({"--train.epochs", "-3", "--train.rate", "-.5"});
  EXPECT_EQ(options.get<int64_t>("train.epochs"), -3);
  EXPECT_EQ(options.get<double>("train.rate"), -0.5);
}

TEST(Options, TakeTheLastOfSeveralValues) {
  EXPECT_EQ(parsed({"--train.epochs", "3", "--train.epochs", "4"}).get<int64_t>("train.epochs"), 4);
}

TEST(Options, GatherTheValuesOfAList) {
  EXPECT_THAT(parsed({"--data.list", "a", "--data.list=b c"}).get<List>("data.list"),
              ElementsAre("a", "b c"));
}

TEST(Options, TakeASwitchAloneOrWithAValue) {
  EXPECT_TRUE(parsed({"--train.resume"}).get<bool>("train.resume"));
  EXPECT_FALSE(parsed({"--train.shuffle=off"}).get<bool>("train.shuffle"));
  for (const char* yes : {"true", "on", "yes", "1"}) {
    EXPECT_TRUE(parsed({concat("--train.resume=", yes)}).get<bool>("train.resume")) << yes;
  }
}

TEST(Options, DoNotLetASwitchSwallowTheNextWord) {
  Options options = sample();
  options.positional("image", "pictures", 0, -1);
  parse(options, {"--train.resume", "a.png"});
  EXPECT_TRUE(options.get<bool>("train.resume"));
  EXPECT_THAT(options.get<List>("image"), ElementsAre("a.png"));
}

TEST(Options, TakeSingleLettersWithOneDash) {
  for (const List& words : {List{"-k", "3"}, List{"-k3"}, List{"--k", "3"}, List{"--k=3"}}) {
    Options options("kindred-query", "Asks.");
    options.add("k", int64_t{5}, "how many");
    options.add("v", false, "more words");
    options.positional("image", "pictures", 0, -1);
    List more = words;
    more.insert(more.end(), {"-v", "a.png"});
    parse(options, more);
    EXPECT_EQ(options.get<int64_t>("k"), 3);
    EXPECT_TRUE(options.get<bool>("v"));
    EXPECT_THAT(options.get<List>("image"), ElementsAre("a.png"));
    EXPECT_THAT(options.help_text(), HasSubstr("\n  -k N  how many (default 5)\n"));
  }
}

TEST(Options, TakeAnEmptyText) { EXPECT_EQ(parsed({"--output", ""}).get<std::string>("output"), ""); }

TEST(Options, ExplainWrongCommandLines) {
  expect_usage_error({"--train.epoch", "3"},
                     "unknown option '--train.epoch'; did you mean '--train.epochs'?");
  expect_usage_error({"--epochs=3"}, "unknown option '--epochs'; did you mean '--train.epochs'?");
  expect_usage_error({"--zzzzzzzzz"}, "unknown option '--zzzzzzzzz'; 'kindred-train --help' lists all");
  expect_usage_error({"-x"}, "unknown option '-x'; 'kindred-train --help' lists all");
  expect_usage_error({"--train.epochs", "ten"}, "'--train.epochs' expects a whole number; got 'ten'");
  expect_usage_error({"--train.epochs", "2.5"}, "'--train.epochs' expects a whole number; got '2.5'");
  expect_usage_error({"--train.epochs=99999999999999999999"},
                     "'--train.epochs' expects a whole number; got '99999999999999999999'");
  expect_usage_error({"--train.rate", "nan"}, "'--train.rate' expects a number; got 'nan'");
  expect_usage_error({"--train.rate", "1e999"}, "'--train.rate' expects a number; got '1e999'");
  expect_usage_error({"--train.resume=maybe"}, "'--train.resume' expects true or false; got 'maybe'");
  expect_usage_error({"--train.epochs"}, "'--train.epochs' needs a value");
  expect_usage_error({"--train.epochs="},
                     "'--train.epochs=' has no value; an empty one is written --train.epochs ''");
  expect_usage_error({"--output", "--train.resume"},
                     "'--output' needs a value; found the option '--train.resume'");
  expect_usage_error({"stray"}, "unexpected word 'stray'");
  expect_usage_error({"--train.resume", "false"},
                     "unexpected word 'false'; a switch takes its value as --name=false");
}

TEST(Options, DoNotGuessAbbreviations) {
  EXPECT_THAT([] { parsed({"--out", "x"}); }, ThrowsMessage<UsageError>(HasSubstr("unknown option '--out'")));
}

TEST(Options, DealPositionalWordsOutInOrder) {
  Options options("kindred-index add", "Adds.");
  options.positional("gallery", "folder", 1, 1);
  options.positional("images", "pictures", 1, -1);
  options.positional("list", "list file", 1, 1);
  parse(options, {"g", "a", "b", "l"});
  EXPECT_THAT(options.get<List>("gallery"), ElementsAre("g"));
  EXPECT_THAT(options.get<List>("images"), ElementsAre("a", "b"));
  EXPECT_THAT(options.get<List>("list"), ElementsAre("l"));
}

TEST(Options, TakeWordsWithDashesBehindTwoDashes) {
  Options options("kindred-query", "Asks.");
  options.positional("image", "pictures", 1, -1);
  parse(options, {"--", "-a.png", "--help"});
  EXPECT_THAT(options.get<List>("image"), ElementsAre("-a.png", "--help"));
}

TEST(Options, SayWhichPositionalWordIsMissing) {
  Options options("kindred-query", "Asks.");
  options.positional("image", "pictures", 1, -1);
  EXPECT_THAT(
      [&] { parse(options, {}); },
      ThrowsMessage<UsageError>("expected at least 1 IMAGE, got 0; usage: kindred-query IMAGE... [options]"));
}

TEST(Options, ReadAConfigFile) {
  Options options = sample();
  options.read_config(
      "output = runs/1  # where\n\n[train]\nepochs = 12\nresume=yes\n[data]\nlist = a\nlist = \"b # "
      "\\\"c\"\n",
      "x.conf");
  EXPECT_EQ(options.get<std::string>("output"), "runs/1");
  EXPECT_EQ(options.get<int64_t>("train.epochs"), 12);
  EXPECT_TRUE(options.get<bool>("train.resume"));
  EXPECT_THAT(options.get<List>("data.list"), ElementsAre("a", "b # \"c"));
  EXPECT_EQ(options.source("train.epochs"), "x.conf:4");
  EXPECT_TRUE(options.given("train.epochs"));
}

TEST(Options, ExplainWrongConfigFiles) {
  expect_config_error("\n[train]\nepoch = 3\n",
                      "demo.conf:3: unknown option 'train.epoch'; did you mean 'train.epochs'?");
  expect_config_error("epochs = 3", "demo.conf:1: unknown option 'epochs'; did you mean 'train.epochs'?");
  expect_config_error("[train]\nepochs = ten",
                      "demo.conf:2: 'train.epochs' expects a whole number; got 'ten'");
  expect_config_error("[train]\nepochs =", "demo.conf:2: 'train.epochs' expects a whole number; got ''");
  expect_config_error("[train]\nepochs = 1\nrate = 1\nepochs = 2",
                      "demo.conf:4: 'train.epochs' was given before at demo.conf:2");
  expect_config_error("help = true", "demo.conf:1: 'help' belongs on the command line, not in a file");
  expect_config_error("config = other.conf",
                      "demo.conf:1: 'config' belongs on the command line, not in a file");
}

TEST(Options, LetTheCommandLineWinOverFilesAndLaterFilesOverEarlierOnes) {
  const TemporaryFolder folder;
  std::ofstream(folder / "a.conf")
      << "output = a\n[train]\nepochs = 1\nrate = 1\n[data]\nlist = a1\nlist = a2\n";
  std::ofstream(folder / "b.conf") << "[train]\nepochs = 2\n[data]\nlist = b\n";
  const List files{"--train.rate=3", "--config", folder / "a.conf", "--config", folder / "b.conf"};
  const Options options = parsed(files);
  EXPECT_EQ(options.get<std::string>("output"), "a");
  EXPECT_EQ(options.get<int64_t>("train.epochs"), 2);
  EXPECT_EQ(options.get<double>("train.rate"), 3);
  EXPECT_THAT(options.get<List>("data.list"), ElementsAre("b"));
  EXPECT_EQ(options.source("data.list"), folder / "b.conf" + ":4");
  List more = files;
  more.push_back("--data.list=c");
  EXPECT_THAT(parsed(more).get<List>("data.list"), ElementsAre("c"));
}

TEST(Options, RefuseConfigFilesThatAreNoFiles) {
  const TemporaryFolder folder;
  EXPECT_THAT(
      [&] {
        parsed({"--config", folder / "none"});
      },
      ThrowsMessage<UsageError>(HasSubstr("none: the config file cannot be opened")));
  EXPECT_THAT(
      [&] {
        parsed({"--config", folder.path().string()});
      },
      ThrowsMessage<UsageError>(HasSubstr("is a directory, expected a config file")));
  std::ofstream(folder / "big") << std::string((1 << 20) + 1, '#');
  EXPECT_THAT(
      [&] {
        parsed({"--config", folder / "big"});
      },
      ThrowsMessage<UsageError>(HasSubstr("larger than 1 MiB")));
}

TEST(Options, WriteAConfigThatReadsBackToTheSameValues) {
  Options first = parsed({"--train.epochs=-7", "--train.rate", "0.1", "--train.shuffle=no", "--output",
                          " two spaces ; \"quoted\" # \\ \n\t\r", "--data.list", "a", "--data.list", ""});
  Options second = sample();
  second.read_config(first.config_text(), "config.conf");
  EXPECT_EQ(second.config_text(), first.config_text());
  EXPECT_EQ(second.get<std::string>("output"), first.get<std::string>("output"));
  EXPECT_EQ(second.get<double>("train.rate"), 0.1);
  EXPECT_EQ(second.get<int64_t>("train.epochs"), -7);
  EXPECT_FALSE(second.get<bool>("train.shuffle"));
  EXPECT_THAT(second.get<List>("data.list"), ElementsAre("a", ""));
}

TEST(Options, WriteNumbersThatReadBackToTheLastBit) {
  for (const double value : {1.0 / 3, 5e-324, std::numeric_limits<double>::max(), -0.0, 1e15}) {
    Options first("p", "s"), second("p", "s");
    first.add("x", value, "number");
    second.add("x", 1.0, "number");
    second.read_config(first.config_text(), "config");
    EXPECT_EQ(second.get<double>("x"), value);
  }
}

TEST(Options, WriteKeysWithoutASectionFirst) {
  EXPECT_THAT(parsed({}).config_text(), StartsWith("output = run\n\n[train]\nepochs = 10\n"));
}

TEST(Options, PrintHelpThatListsEveryOptionWithItsDefault) {
  Options options = sample();
  options.positional("image", "pictures to look for", 1, -1);
  options.footer("exit codes: 0 done");
  EXPECT_EQ(options.help_text(50), R"(usage: kindred-train IMAGE... [options]

Trains an embedding.

  IMAGE  pictures to look for

options:
  --config TEXT ...  read options from this INI
                     file; of several the later
                     ones win, the command line
                     wins over all

training:
  --train.epochs N  passes over the training set
                    (default 10)
  --train.rate X    peak learning rate (default
                    0.05)
  --train.resume    go on from the last checkpoint
  --train.shuffle   draw in random order (default
                    true)

data:
  --data.list TEXT ...  list file
  --output TEXT         folder of the run (default
                        run)

  --help, -h  print this text and exit
  --version   print the version and exit

exit codes: 0 done
)");
}

TEST(Options, GiveALongNameALineOfItsOwn) {
  Options options("p", "s");
  options.add("a.name.that.is.longer.than.the.column", true, "help");
  options.add("bb", true, "help");
  EXPECT_THAT(options.help_text(),
              HasSubstr("\n  --a.name.that.is.longer.than.the.column\n        help (default true)\n"
                        "  --bb  help (default true)\n"));
}

TEST(Options, StopAfterHelpAndVersion) {
  for (const List& words :
       {List{"--help"}, List{"-h"}, List{"--version"}, List{"--train.epochs=ten", "--help"}}) {
    Options options = sample();
    ::testing::internal::CaptureStdout();
    EXPECT_EQ(parse(options, words), Options::Outcome::done);
    const std::string printed = ::testing::internal::GetCapturedStdout();
    EXPECT_THAT(printed,
                words[0] == "--version" ? StartsWith("kindred-train 0.1.0 (cuda ") : StartsWith("usage: "));
  }
}

TEST(OptionsDeathTest, AbortOnQuestionsThatOnlyABugAsks) {
  const Options options = parsed({});
  EXPECT_DEATH(options.get<bool>("no.such.option"), "assertion failed");
  EXPECT_DEATH(options.get<double>("train.epochs"), "assertion failed");
  EXPECT_DEATH(sample().add("output", true, "a name twice"), "assertion failed");
}

TEST(RunMain, TurnsExceptionsIntoExitCodes) {
  const auto run = [](auto error) {
    ::testing::internal::CaptureStderr();
    const int code = run_main("kindred-x", [&]() -> int { throw error; });
    return std::pair(code, ::testing::internal::GetCapturedStderr());
  };
  EXPECT_EQ(run(UsageError("bad option")), std::pair(2, std::string("kindred-x: bad option\n")));
  EXPECT_EQ(run(Error("bad file")), std::pair(1, std::string("kindred-x: bad file\n")));
  EXPECT_EQ(run(std::bad_alloc()), std::pair(1, std::string("kindred-x: out of memory\n")));
  EXPECT_EQ(run_main("kindred-x", [] { return 7; }), 7);
}

}  // namespace
}  // namespace kindred
