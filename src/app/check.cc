#include "app/check.h"

#include <fmt/format.h>

#include <cstdio>

#include "app/source.h"
#include "tunnel/gate_filter.h"
#include "tunnel/ingress_policy.h"
#include "tunnel/json_text.h"
#include "tunnel/service.h"
#include "tunnel/service_word.h"

namespace hg::app {

namespace {

constexpr int kFaultStatus = 2;
constexpr SourceKind kAny{"check", nullptr, "", tunnel::services_of_words};

bool is_policy(const boost::json::value& document) {
  const boost::json::object* object = document.if_object();
  return object != nullptr && !object->contains("services");
}

}  // namespace

Expected<std::string> describe_file(const std::string& text, const std::string& name) {
  const auto document = tunnel::parse_json(text, name);
  if (!document) return document.error();
  if (is_policy(*document)) {
    const auto policy = tunnel::IngressPolicy::parse(text, name);
    if (!policy) return policy.error();
    return fmt::format("ingress policy, {} rules", policy->size());
  }
  const auto services = tunnel::parse_services(text, name);
  if (services) return fmt::format("services, {} gates", services->size());
  // A filter may leave out both ports, a service may not.
  const auto filter = tunnel::parse_gate_matches(text, name);
  if (filter && services.error().message.find("must be given") != std::string::npos)
    return fmt::format("gateway filter, {} entries", filter->size());
  return services.error();
}

int run_check(const std::vector<std::string>& files) {
  int status = 0;
  for (const std::string& file : files) {
    Source source(kAny, file);
    const auto looked = source.look();
    const auto found = looked ? describe_file(source.text(), source.name()) : Expected<std::string>(looked.error());
    if (found) {
      std::printf("%s: %s\n", source.name().c_str(), found->c_str());
    } else {
      std::fprintf(stderr, "hypergate: %s\n", found.error().message.c_str());
      status = kFaultStatus;
    }
  }
  return status;
}

}  // namespace hg::app
