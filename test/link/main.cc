// link_emulator: a link with a rate, delay, loss and a finite queue between two network namespaces, for tests and measurements.
//
//   namespace A ── TUN ──▶ Lane ab ──▶ TUN ── namespace B
//                     ◀── Lane ba ◀──
//
// Prints "ready" when both devices exist (the caller gives them addresses and sets them up), then forwards until SIGTERM.
// Exit status: 0 ended by a signal, 1 no devices here, 2 wrong options.
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>

#include "link/control.h"
#include "link/tun.h"

namespace {

using namespace hg;

constexpr int kPacketsPerTurn = 64;   // then the other direction and the clock get their turn
constexpr int kPriority = -10;        // best effort: a late link would be measured instead of what runs across it
constexpr Duration kTogether = 20us;  // packets due within this leave in one turn
constexpr size_t kLargestPacket = 65536;

volatile std::sig_atomic_t g_stop = 0;

struct Options {
  std::string left;
  std::string right;
  std::string device = "link";
  std::string control;
  uint64_t seed = 1;
  link::LinkProperties properties;
};

TimePoint now() { return TimePoint(std::chrono::steady_clock::now().time_since_epoch()); }

Duration from_ms(double ms) { return Duration(static_cast<int64_t>(ms * 1e6)); }

/// Reads what the device has into the lane.
void take(int device, link::Lane& lane, MutableBytes area) {
  for (int i = 0; i < kPacketsPerTurn; ++i) {
    const ssize_t size = ::read(device, area.data(), area.size());
    if (size <= 0) return;
    lane.offer(ByteView(area).first(static_cast<size_t>(size)), now());
  }
}

/// A device that is not up refuses packets: they are gone, as on a cable without an end.
void give(int device, link::Lane& lane) {
  lane.release(now() + kTogether, [device](ByteView packet) {
    if (::write(device, packet.data(), packet.size()) < 0) return;
  });
}

void wait(std::vector<pollfd>& descriptors, const link::Link& link) {
  std::optional<TimePoint> next = link.ab.next_deadline();
  const auto other = link.ba.next_deadline();
  if (other && (!next || *other < *next)) next = other;
  const Duration left = next ? std::max(*next - now(), Duration::zero()) : Duration::zero();
  const timespec patience{static_cast<time_t>(left / 1s), static_cast<long>((left % 1s).count())};
  ::ppoll(descriptors.data(), descriptors.size(), next ? &patience : nullptr, nullptr);
}

void forward(const io::FileDescriptor& a, const io::FileDescriptor& b, link::Link& link, link::Control* control) {
  Bytes area(kLargestPacket);
  while (g_stop == 0) {
    std::vector<pollfd> descriptors{{a.get(), POLLIN, 0}, {b.get(), POLLIN, 0}};
    if (control != nullptr)
      for (int fd : control->descriptors()) descriptors.push_back({fd, POLLIN, 0});
    wait(descriptors, link);
    take(a.get(), link.ab, area);
    take(b.get(), link.ba, area);
    give(b.get(), link.ab);
    give(a.get(), link.ba);
    for (size_t i = 2; i < descriptors.size(); ++i)
      if (descriptors[i].revents != 0) control->on_readable(descriptors[i].fd);
  }
}

void add_options(CLI::App& app, Options& options, double& rtt_ms, double& jitter_ms) {
  link::LinkProperties& p = options.properties;
  app.add_option("--left", options.left, "network namespace of end A")->required();
  app.add_option("--right", options.right, "network namespace of end B")->required();
  app.add_option("--device", options.device, "name of the TUN device at both ends")->check([](const std::string& name) {
    return name.empty() || name.size() > 15 ? std::string("a device name has 1 to 15 letters") : std::string();
  });
  app.add_option("--rate", p.rate_bps, "bits per second, k, M or G may follow; 0: unlimited")
      ->transform(
          CLI::AsNumberWithUnit(std::map<std::string, double>{{"k", 1e3}, {"M", 1e6}, {"G", 1e9}}, CLI::AsNumberWithUnit::CASE_SENSITIVE));
  app.add_option("--rttMs", rtt_ms, "round-trip time, half of it each way")->check(CLI::Range(0.0, 60000.0));
  app.add_option("--jitterMs", jitter_ms, "each way varies by half of this up and down")->check(CLI::Range(0.0, 60000.0));
  app.add_option("--lossPercent", p.loss, "share of the time, or with --burst 0 of the packets")->check(CLI::Range(0.0, 100.0));
  app.add_option("--burst", p.burst_packets, "a loss lasts as long as this many full packets take; 0: packet by packet")
      ->check(CLI::Range(0.0, 1e6));
  app.add_option("--reorderPercent", p.reorder, "packets that are overtaken")->check(CLI::Range(0.0, 100.0));
  app.add_option("--duplicatePercent", p.duplicate, "packets that arrive twice")->check(CLI::Range(0.0, 100.0));
  app.add_option("--queueBytes", p.queue_bytes, "before the line (default: rate times round trip, at least 45000)");
  app.add_option("--mtu", p.mtu, "longer packets are fragmented, or vanish silently if they forbid it (DF)")->check(CLI::Range(68, 65535));
  app.add_option("--seed", options.seed, "of all chance");
  app.add_option("--control", options.control, "Unix socket to make for commands: counters, mtu BYTES, loss PERCENT");
}

int run(const Options& options) {
  const auto a = link::open_tun(options.left, options.device);
  const auto b = link::open_tun(options.right, options.device);
  link::Link link{link::Lane(options.properties, 2 * options.seed), link::Lane(options.properties, 2 * options.seed + 1)};
  link::Control control(link);
  const auto listening = options.control.empty() ? Expected<void>() : control.listen(options.control);
  for (const auto* error : {a ? nullptr : &a.error(), b ? nullptr : &b.error(), listening ? nullptr : &listening.error()}) {
    if (error == nullptr) continue;
    std::fprintf(stderr, "link_emulator: %s\n", error->message.c_str());
    return 1;
  }
  setpriority(PRIO_PROCESS, 0, kPriority);
  prctl(PR_SET_TIMERSLACK, 1);
  std::puts("ready");
  std::fflush(stdout);
  forward(*a, *b, link, options.control.empty() ? nullptr : &control);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  double rtt_ms = 0;
  double jitter_ms = 0;
  CLI::App app("A link between two network namespaces, with rate, delay, jitter, loss, reordering, duplication and a finite queue");
  add_options(app, options, rtt_ms, jitter_ms);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::puts(app.help().c_str());
    return 0;
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "link_emulator: %s\n", error.what());
    return 2;
  }
  link::LinkProperties& p = options.properties;
  p.delay = from_ms(rtt_ms / 2);
  p.jitter = from_ms(jitter_ms);
  for (double* share : {&p.loss, &p.reorder, &p.duplicate}) *share /= 100;
  for (int number : {SIGTERM, SIGINT}) std::signal(number, [](int) { g_stop = 1; });
  return run(options);
}
