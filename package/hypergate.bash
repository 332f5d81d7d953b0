# Completion of hypergate(1) for bash. Verbs, options and what they take are read from `hypergate --help`.

# What help calls the value behind an option or the argument of a verb, "[…" where it may be left out; nothing: it takes none.
_hypergate_takes() {  # HELP WORD
  local line="hypergate $2"
  [[ $2 =~ ^[a-zA-Z-]+$ ]] || return 0
  [[ $2 == -* ]] && line=$2
  sed -nE "/^ +$line +\[?[A-Z][A-Z]/{s/^ +$line +(\[?[A-Z]+).*/\1/p;q}" <<<"$1"
}

_hypergate() {
  local LC_ALL=C IFS=$'\n' help takes='' words=''
  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  COMPREPLY=()
  help=$("$1" --help 2>/dev/null) || return 0
  # --log=te arrives as three words.
  if [[ $current == '=' ]]; then
    current=''
  elif [[ $before == '=' ]]; then
    before=${COMP_WORDS[COMP_CWORD - 2]}
  fi

  [[ $before == -* ]] && takes=$(_hypergate_takes "$help" "$before")
  [[ $takes == '['* && $current == -* ]] && takes=''
  if [[ -z $takes && $current == -* ]]; then
    words=$(grep -oE '^ +(-h,)?--[A-Za-z]+' <<<"$help" | grep -oE -- '--.*')
  elif [[ -z $takes && $COMP_CWORD == 1 ]]; then
    words=$(sed -nE 's/^Usage: hypergate \[([a-z|]+)\].*/\1/p' <<<"$help" | tr '|' '\n')
  elif [[ -z $takes ]]; then
    takes=$(_hypergate_takes "$help" "${COMP_WORDS[1]}")
  fi

  case "${takes#'['}" in
    FILE | SERVICES | FILTER | POLICY | SOCKET)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return
      ;;
    BOOL) words=$'true\nfalse' ;;
    FORMAT) words=$'text\njson' ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _hypergate hypergate
