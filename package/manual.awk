# The manual page with its options, from `hypergate --help`, group by group: awk -f manual.awk HELP PAGE
function roff(text) {
  gsub(/\\/, "\\e", text)
  gsub(/-/, "\\-", text)
  gsub(/…/, "\\[u2026]", text)
  return text
}

FNR != NR { print /^=OPTIONS=$/ ? options : $0; next }
/^Environment:/ { grouped = 0 }
/^[A-Z].*:$/ { grouped = 1; options = options ".SS " roff(substr($0, 1, length($0) - 1)) "\n"; next }
!grouped || /^ *$/ { next }
/^  (-h,)?--/ {
  name = $1
  takes = $2 ~ /^\[?[A-Z][A-Z]/ ? $2 : ""
  sub(/^ +[^ ]+ */, "")
  $0 = substr($0, length(takes) + 1)
  sub(/,/, ", ", name)
  options = options ".TP\n\\fB" roff(name) "\\fR" (takes == "" ? "" : " " roff(takes)) "\n"
}
{ sub(/^ +/, "") }
$0 != "" { options = options roff($0) "\n" }
