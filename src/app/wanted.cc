#include "app/wanted.h"

#include <fmt/format.h>

#include <algorithm>

#include "tunnel/hello.h"
#include "tunnel/ingress_policy.h"
#include "tunnel/routes.h"
#include "tunnel/service_word.h"

namespace hg::app {

namespace {

Expected<void> check_services(const std::string& text, const std::string& name) {
  const auto services = tunnel::parse_services(text, name);
  return services ? Expected<void>() : services.error();
}

Expected<void> check_policy(const std::string& text, const std::string& name) {
  const auto policy = tunnel::IngressPolicy::parse(text, name);
  return policy ? Expected<void>() : policy.error();
}

Expected<void> check_filter(const std::string& text, const std::string& name) {
  const auto matches = tunnel::parse_gate_matches(text, name);
  return matches ? Expected<void>() : matches.error();
}

constexpr SourceKind kServices{"--provider", check_services, "the last good services stay", tunnel::services_of_words,
                               "JSON, a file, an http(s) URL, or a service such as 8080, 8080=80 or 5432=db.lan:5432"};
constexpr SourceKind kPolicy{"--ingressPolicy", check_policy, "the last good ingress policy stays"};
constexpr SourceKind kFilter{"--gateway", check_filter, "the last good filter stays"};

Expected<std::string> merge_policies(const std::vector<std::string>& texts) {
  if (texts.empty()) return std::string();
  auto merged = tunnel::merge_ingress_policies(texts);
  if (!merged) return merged.error();
  // Each fits, but together they may hold too many rules.
  if (const auto fits = check_policy(*merged, kPolicy.option); !fits) return fits.error();
  return merged;
}

Expected<void> check_size(const Wanted& wanted) {
  const size_t count = wanted.services.size();
  if (count > tunnel::kMaxServices)
    return Error{"USAGE", fmt::format("{}: {} services are not accepted; at most {}", kServices.option, count, tunnel::kMaxServices)};
  const auto fitted = tunnel::fit_advertisement(wanted.services, wanted.ingress_policy, tunnel::kProviderFeatures, PublicKey{});
  if (fitted.left_out == 0) return {};
  return Error{"USAGE", fmt::format("{} {} of {} services do not fit into what providers tell gateways (each service carries the policy, "
                                    "together at most {} MiB); give fewer rules, CIDRs, or fewer services per provider",
                                    wanted.ingress_policy.empty() ? "--provider: with their ingressPolicy" : "--ingressPolicy: with it",
                                    fitted.left_out, count, tunnel::kMaxMessage >> 20)};
}

}  // namespace

std::vector<Source> sources_of(const Config& config) {
  std::vector<Source> sources;
  for (const std::string& value : config.services) sources.emplace_back(kServices, value);
  for (const std::string& value : config.filters) sources.emplace_back(kFilter, value);
  for (const std::string& value : config.endpoints.ingress_policies) sources.emplace_back(kPolicy, value);
  return sources;
}

std::vector<Said> said_by(const std::vector<Source>& sources) {
  std::vector<Said> said;
  for (const Source& source : sources) said.push_back(source.said());
  return said;
}

Expected<Wanted> combine(const std::vector<Said>& texts) {
  Wanted wanted;
  std::vector<std::string> policies;
  for (const auto& [kind, name, text] : texts) {
    if (kind == &kPolicy) {
      policies.push_back(*text);
    } else if (kind == &kServices) {
      const auto services = tunnel::parse_services(*text, name);
      if (!services) return services.error();
      wanted.services.insert(wanted.services.end(), services->begin(), services->end());
    } else {
      const auto matches = tunnel::parse_gate_matches(*text, name);
      if (!matches) return matches.error();
      wanted.filter.insert(wanted.filter.end(), matches->begin(), matches->end());
    }
  }
  auto policy = merge_policies(policies);
  if (!policy) return policy.error();
  wanted.ingress_policy = std::move(*policy);
  if (const auto fits = check_size(wanted); !fits) return fits.error();
  return wanted;
}

Expected<void> check_offer(const Config& config, const std::vector<Source>& sources, const Wanted& wanted) {
  if (!config.provider || config.gateway || config.docker || !wanted.services.empty()) return {};
  const bool may_come =
      std::any_of(sources.begin(), sources.end(), [](const Source& source) { return &source.kind() == &kServices && source.can_change(); });
  return may_come ? Expected<void>() : no_services();
}

}  // namespace hg::app
