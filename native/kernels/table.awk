# report.txt as two tables in Markdown: the families on every device, the kernels on tensor cores on sm_90a.
# Blocks of a kernel that fit on one multiprocessor of sm_90 together: by registers (65536, given out per warp in units of
# 256), shared memory (228 KiB, 1 KiB of it taken per block), threads (2048) and number (32).
function blocks(threads, registers, shared,    warps, least) {
  warps = int((threads + 31) / 32)
  least = int(65536 / (warps * int((registers * 32 + 255) / 256) * 256))
  least = smaller(least, int(233472 / (shared + 1024)))
  least = smaller(least, int(2048 / (warps * 32)))
  return smaller(least, 32)
}
function smaller(a, b) { return a < b ? a : b }

{
  key = $2 " " $1
  if (!(key in kernels)) {
    order[++count] = key
  }
  kernels[key]++
  most[key] = most[key] > $5 ? most[key] : $5
  fixed[key] = fixed[key] > $6 ? fixed[key] : $6
  if ($7 != "-") {
    dynamic[key] = dynamic[key] > $7 ? dynamic[key] : $7
  }
  spilled[key] += $8
  products[key] += $9
  source = $10
  if ($1 == "sm_90a" && $9 > 0) {
    hot[++hots] = sprintf("| `%s` | %d | %d | %s | %d | %s |", $3, $4, $5, $7, $9, \
      $7 == "-" ? "-" : blocks($4, $5, $6 + $7) " x " $4 / 32 " warps")
  }
}

END {
  print "| family | device | kernels | registers, at most | shared, static | shared, dynamic at most | bytes spilled | tensor-core instructions |"
  print "|---|---|---|---|---|---|---|---|"
  for (i = 1; i <= count; i++) {
    key = order[i]
    split(key, part, " ")
    printf "| `%s` | %s | %d | %d | %d | %s | %d | %d |\n", part[1], part[2], kernels[key], most[key], fixed[key], \
      key in dynamic ? dynamic[key] : "-", spilled[key], products[key]
  }
  print ""
  print "| kernel on sm_90a | threads | registers | shared, dynamic | tensor-core instructions | resident on one multiprocessor |"
  print "|---|---|---|---|---|---|"
  for (i = 1; i <= hots; i++) {
    print hot[i]
  }
  print ""
  print "Tensor-core instructions are counted in the " source (source == "PTX" ? ", `mma.sync` or `wgmma.mma_async` each" : "") "."
}
