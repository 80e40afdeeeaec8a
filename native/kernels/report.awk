# What the compiler made of one family: a line a kernel and device of
#   device family kernel threads registers static-shared dynamic-shared spilled-bytes tensor-core-instructions counted-in
# from ptxas's report (FAMILY.ptxas), the PTX of each architecture (*.ptx) and, where cuobjdump is, its SASS
# (*.sass). Tensor-core instructions are counted where they stand, not where they run: in SASS if there is any, else in PTX.
# Dynamic shared memory is known where a kernel declares it (declare_shared), else "-".
FNR == 1 {
  kind = FILENAME ~ /\.ptxas$/ ? "ptxas" : FILENAME ~ /\.sass$/ ? "sass" : "ptx"
}

kind == "ptxas" && /Compiling entry function/ {
  split($0, quoted, "\047")
  key = quoted[4] " " quoted[2]
  keys[++count] = key
}
kind == "ptxas" && /bytes spill stores/ {
  for (i = 2; i <= NF; i++) {
    if ($i == "spill") {
      spilled[key] += $(i - 2)
    }
  }
}
kind == "ptxas" && /Used [0-9]+ registers/ {
  for (i = 2; i <= NF; i++) {
    if ($i ~ /^registers/) {
      registers[key] = $(i - 1) + 0
    }
    if ($i ~ /^smem/) {
      fixed[key] = $(i - 2) + 0
    }
  }
}

kind == "ptx" && /^\.target / {
  device = $2
  sub(/,.*/, "", device)
}
kind == "ptx" && /\.entry / {
  name = $0
  sub(/.*\.entry /, "", name)
  sub(/\(.*/, "", name)
  key = device " " name
}
kind == "ptx" && /^\.maxntid/ { threads[key] = $2 + 0 }
kind == "ptx" && /dynamic shared memory/ { dynamic[key] = $NF }
kind == "ptx" && /mma(\.|_async\.)sync/ { ptx[key]++ }

kind == "sass" && /code for sm_/ { device = $NF }
kind == "sass" && /Function :/ { key = device " " $NF; sass[key] += 0 }
kind == "sass" && / (HMMA|HGMMA|QGMMA)\./ { sass[key]++ }

END {
  for (i = 1; i <= count; i++) {
    key = keys[i]
    split(key, part, " ")
    from = key in threads ? key : "sm_80 " part[2]  # the PTX that it was made of
    print part[1], family, part[2], threads[from] + 0, registers[key], fixed[key] + 0, \
      from in dynamic ? dynamic[from] : "-", spilled[key] + 0, key in sass ? sass[key] : ptx[from] + 0, \
      key in sass ? "SASS" : "PTX"
  }
}
