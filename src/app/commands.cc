#include "app/commands.h"

#include <fmt/format.h>

#include <cstdio>

#include "app/check.h"
#include "app/demo.h"
#include "app/dht_command.h"
#include "app/doctor.h"
#include "app/member.h"
#include "app/scan.h"
#include "app/source.h"
#include "crypto/crypto.h"
#include "tunnel/hello.h"
#include "tunnel/routes.h"

namespace hg::app {

namespace {

int print_new_secret() {
  const Seed secret = crypto::system_rng().array<32>();
  std::puts(tunnel::format_router_secret(secret).c_str());
  return 0;
}

Expected<MemberPlan> plan_member(Config config) {
  MemberPlan plan;
  for (const std::string& value : config.services) {
    auto source = load_source("--provider", value);
    if (!source) return source.error();
    auto services = tunnel::parse_services(source->text, source->name);
    if (!services) return services.error();
    plan.services.insert(plan.services.end(), services->begin(), services->end());
  }
  for (const std::string& value : config.filters) {
    auto source = load_source("--gateway", value);
    if (!source) return source.error();
    auto matches = tunnel::parse_gate_matches(source->text, source->name);
    if (!matches) return matches.error();
    plan.filter.any_of.insert(plan.filter.any_of.end(), matches->begin(), matches->end());
  }
  plan.filter.only_services = config.expose_only_services;
  plan.filter.only_docker = config.expose_only_docker;
  plan.filter.only_published = config.expose_only_published;
  auto policies = load_policies(config.endpoints.ingress_policies);
  if (!policies) return policies.error();
  plan.policies = std::move(*policies);
  if (const size_t left_out =
          tunnel::fit_advertisement(plan.services, plan.policies.merged, tunnel::kProviderFeatures, PublicKey{}).left_out)
    return Error{"USAGE",
                 fmt::format("--ingressPolicy: with it {} of {} services do not fit into what providers tell gateways (each service "
                             "carries the policy, together at most {} MiB); give fewer rules, CIDRs, or fewer services per provider",
                             left_out, plan.services.size(), tunnel::kMaxMessage >> 20)};
  plan.config = std::move(config);
  return plan;
}

}  // namespace

Expected<std::function<int()>> prepare(Config config) {
  switch (config.command) {
    case Command::kNew:
      return std::function<int()>(print_new_secret);
    case Command::kDht:
      return std::function<int()>([config] { return run_dht(config); });
    case Command::kScan:
      return std::function<int()>([config] { return run_scan(config); });
    case Command::kDoctor:
      return std::function<int()>([config] { return run_doctor(config); });
    case Command::kCheck:
      return std::function<int()>([config] { return run_check(config.check_files); });
    case Command::kDemo:
      return std::function<int()>([config] { return run_demo(config); });
    case Command::kRun: {
      auto plan = plan_member(std::move(config));
      if (!plan) return plan.error();
      return std::function<int()>([plan = std::move(*plan)] {
        io::Loop loop(crypto::system_rng());
        return Member(loop, plan).run();
      });
    }
    case Command::kHelp:
    case Command::kVersion:
      break;
  }
  return Error{"USAGE", "nothing to do; see hypergate --help"};
}

}  // namespace hg::app
