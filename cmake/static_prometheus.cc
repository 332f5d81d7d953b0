// Debian ships prometheus-cpp as a shared library only: this gives a static link the one part the program uses, the text form of gauges
// and counters (Prometheus exposition formats, "Text-based format", version 0.0.4).
#include <prometheus/text_serializer.h>

#include <sstream>

namespace prometheus {

namespace {

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n')
      out += "\\n";
    else if (c == '\\' || c == '"')
      out += {'\\', c};
    else
      out += c;
  }
  return out;
}

void write_labels(std::ostream& out, const std::vector<ClientMetric::Label>& labels) {
  const char* before = "{";
  for (const ClientMetric::Label& label : labels) {
    out << before << label.name << "=\"" << escaped(label.value) << '"';
    before = ",";
  }
  if (!labels.empty()) out << '}';
}

}  // namespace

std::string Serializer::Serialize(const std::vector<MetricFamily>& families) const {
  std::ostringstream out;
  Serialize(out, families);
  return out.str();
}

void TextSerializer::Serialize(std::ostream& out, const std::vector<MetricFamily>& families) const {
  out.precision(15);
  for (const MetricFamily& family : families) {
    const bool counter = family.type == MetricType::Counter;
    out << "# HELP " << family.name << ' ' << family.help << "\n# TYPE " << family.name << (counter ? " counter\n" : " gauge\n");
    for (const ClientMetric& metric : family.metric) {
      out << family.name;
      write_labels(out, metric.label);
      out << ' ' << (counter ? metric.counter.value : metric.gauge.value) << '\n';
    }
  }
}

}  // namespace prometheus
