// What the JSON-valued options of a member ask for: services, ingress policy, filter of the gates.
#pragma once

#include <string>
#include <vector>

#include "app/config.h"
#include "app/source.h"
#include "tunnel/gate_filter.h"
#include "tunnel/service.h"

namespace hg::app {

struct Wanted {
  std::vector<tunnel::Service> services;
  std::string ingress_policy;             // merged in the order given, later ones win; empty: none
  std::vector<tunnel::GateMatch> filter;  // any of them
  bool operator==(const Wanted&) const = default;
};

/// Not looked at yet.
std::vector<Source> sources_of(const Config& config);

std::vector<Said> said_by(const std::vector<Source>& sources);

/// What the texts say together; an error is one line: each is good, but together they are too much.
Expected<Wanted> combine(const std::vector<Said>& texts);

/// Services of a provider's command line stay as they are: without any, and without a source that may bring some, it would wait for
/// nothing.
Expected<void> check_offer(const Config& config, const std::vector<Source>& sources, const Wanted& wanted);

}  // namespace hg::app
