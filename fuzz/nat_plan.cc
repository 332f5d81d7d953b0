// A punch plan and a sampler fed with whatever: a plan ends, never exceeds its bound of probes and never aims at port 0.
#include <cstdlib>

#include "nat/address.h"
#include "nat/punch_plan.h"
#include "nat/sampler.h"

using namespace hg;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  nat::PunchPlan::Situation situation;
  situation.initiator = data[0] & 1;
  situation.local = static_cast<wire::Firewall>(data[1] % 4);
  situation.remote = static_cast<wire::Firewall>(data[2] % 4);
  nat::Sampler sampler(data[0] & 2);
  for (size_t at = 3; at + 7 <= size; at += 7) {
    uint32_t address = 0;
    for (size_t i = 0; i < 4; ++i) address = address << 8 | data[at + i];
    const Endpoint endpoint{address, static_cast<uint16_t>(data[at + 4] << 8 | data[at + 5])};
    situation.addresses.push_back({endpoint, (data[at + 6] & 1) != 0});
    sampler.add(endpoint, {address, data[at + 6]});
    if (nat::is_private(address) && nat::is_reserved(address)) std::abort();
    if (sampler.addresses() && sampler.addresses()->empty()) std::abort();
  }
  SeededRng rng(1);
  auto plan = nat::PunchPlan::make(situation, TimePoint{});
  if (!plan) return 0;
  size_t probes = 0;
  for (int polls = 0; plan->next(); ++polls) {
    if (polls > 4000) std::abort();
    std::vector<nat::Probe> due;
    plan->poll(*plan->next(), rng, due);
    probes += due.size();
    for (const nat::Probe& probe : due)
      if (probe.socket >= plan->sockets()) std::abort();
  }
  if (probes > 2100) std::abort();
  return 0;
}
