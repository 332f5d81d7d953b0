#include "cli/log_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>

namespace hg::cli {
namespace {

class LogWriterTest : public testing::Test {
 protected:
  LogWriterTest() { EXPECT_EQ(0, ::pipe(ends_.data())); }
  ~LogWriterTest() override { ::close(ends_[0]); }  // the writer's thread outlives the test, and so does its end

  std::string read_some() {
    std::string text(1 << 20, '\0');
    const ssize_t got = ::read(ends_[0], text.data(), text.size());
    text.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return text;
  }

  std::array<int, 2> ends_{};
};

TEST_F(LogWriterTest, WritesLinesInOrder) {
  auto* writer = new LogWriter(ends_[1]);
  writer->put("one\n");
  writer->put("two\n");
  writer->finish(10s);
  EXPECT_EQ("one\ntwo\n", read_some());
}

TEST_F(LogWriterTest, WhoReadsNothingHoldsUpNobodyAndLearnsHowManyLinesAreMissing) {
  auto* writer = new LogWriter(ends_[1]);
  const std::string line(1 << 10, 'x');
  const size_t count = 4 * LogWriter::kMostWaiting / line.size();
  for (size_t i = 0; i < count; ++i) writer->put(line);
  EXPECT_EQ(0u, writer->take_lost()) << "no room for a word about it yet";
  size_t got = 0;
  size_t lost = 0;
  while (lost == 0) {
    got += read_some().size();
    lost = writer->take_lost();
  }
  writer->put("end");
  while (got < (count - lost) * line.size() + 3) got += read_some().size();
  EXPECT_EQ((count - lost) * line.size() + 3, got);
  EXPECT_EQ(0u, writer->take_lost());
}

TEST(LogWriter, LinesThatAFullDiskDoesNotTakeAreCounted) {
  auto* writer = new LogWriter(::open("/dev/full", O_WRONLY));
  writer->put("one\n");
  writer->put("two\n");
  writer->finish(10s);
  EXPECT_EQ(2u, writer->take_lost());
}

}  // namespace
}  // namespace hg::cli
