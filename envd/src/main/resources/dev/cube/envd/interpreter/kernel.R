# An R context of the code interpreter, run by Rscript. The requests come on descriptor 3, a line for each of: "execute", the
# execution's ID and the number of variables, separated by blanks; each variable's name and its value; the code. In these lines a
# line feed is \n and a backslash is \\ (RProtocol in the host). Cells print to standard output and standard error, with marks on
# both where one begins and ends, and events in between, on standard output only, as MarkedProtocol describes them.
# The argument names the epoch's file, whose neighbour boot_id changes when the sandbox was restored.
local({
  run_directory <- dirname(commandArgs(trailingOnly = TRUE)[[1L]])
  requests <- file("/dev/fd/3", "r", blocking = TRUE, encoding = "UTF-8")
  plots <- tempfile("plots")
  rows_shown <- 60L
  columns_shown <- 20L
  result_chars <- 8L * 1024L * 1024L # four bytes each at most: the host takes no line of more than 32 MiB
  count <- 0L
  boot <- NULL
  inherited <- character()
  devices <- integer()

  # ---- what a cell says ----

  mark <- function(id, text, streams = list(stdout(), stderr())) {
    for (stream in streams) {
      cat("\036cube:", id, ":", text, "\n", file = stream, sep = "")
      flush(stream)
    }
  }

  quoted <- function(text) {
    text <- iconv(enc2utf8(paste(text, collapse = "\n")), "UTF-8", "UTF-8", sub = "byte")
    text <- gsub("\\", "\\\\", text, fixed = TRUE)
    text <- gsub("\"", "\\\"", text, fixed = TRUE)
    for (code in c(1:31, 127L)) text <- gsub(intToUtf8(code), sprintf("\\u%04x", code), text, fixed = TRUE)
    paste0("\"", text, "\"")
  }

  object <- function(fields) {
    paste0("{", paste(vapply(names(fields), quoted, ""), fields, sep = ":", collapse = ","), "}")
  }

  send <- function(id, fields) mark(id, paste0("event:", object(fields)), list(stdout()))

  send_result <- function(id, data, main) {
    if (sum(nchar(unlist(data))) <= result_chars) {
      send(id, list(type = quoted("result"), main = if (main) "true" else "false", data = object(lapply(data, quoted))))
    } else {
      cat("[the result is left out: it has more than ", result_chars / 1024 / 1024, " MiB]\n", sep = "", file = stderr())
    }
  }

  escaped <- function(text) {
    text <- gsub("&", "&amp;", text, fixed = TRUE)
    gsub("<", "&lt;", gsub(">", "&gt;", text, fixed = TRUE), fixed = TRUE)
  }

  html <- function(table) {
    shown <- utils::head(as.data.frame(table), rows_shown)[, seq_len(min(ncol(table), columns_shown)), drop = FALSE]
    cells <- vapply(shown, function(column) escaped(format(column)), character(nrow(shown)))
    dim(cells) <- dim(shown)
    head <- paste0("<th>", c("", escaped(names(shown))), "</th>", collapse = "")
    rows <- paste0("<tr><th>", escaped(rownames(shown)), "</th>",
      apply(cells, 1L, function(row) paste0("<td>", row, "</td>", collapse = "")), "</tr>", collapse = "\n")
    paste0("<table>\n<thead><tr>", head, "</tr></thead>\n<tbody>\n", rows, "\n</tbody>\n</table>\n<p>",
      nrow(table), " rows, ", ncol(table), " columns</p>")
  }

  show_value <- function(id, value, main) {
    text <- paste(utils::capture.output(if (isS4(value)) methods::show(value) else print(value)), collapse = "\n")
    data <- list()
    if (nzchar(text)) data[["text/plain"]] <- text
    if (is.data.frame(value) && nrow(value) > 0L && ncol(value) > 0L) {
      data[["text/html"]] <- tryCatch(html(value), error = function(e) NULL) # columns of lists, for example
    }
    if (length(data) > 0L) send_result(id, data, main)
  }

  alphabet <- c(LETTERS, letters, 0:9, "+", "/")

  base64 <- function(bytes) {
    missing <- (3L - length(bytes) %% 3L) %% 3L
    triples <- matrix(c(as.integer(bytes), integer(missing)), nrow = 3L)
    value <- triples[1L, ] * 65536L + triples[2L, ] * 256L + triples[3L, ]
    digits <- rbind(value %/% 262144L, value %/% 4096L %% 64L, value %/% 64L %% 64L, value %% 64L)
    text <- alphabet[digits + 1L]
    if (missing > 0L) text[length(text) + 1L - seq_len(missing)] <- "="
    paste(text, collapse = "")
  }

  # The device that R opens for who plots without having opened one.
  options(device = function(...) {
    dir.create(plots, showWarnings = FALSE)
    grDevices::png(file.path(plots, paste0(length(devices), "-%03d.png")), width = 7, height = 7, units = "in", res = 120)
    devices <<- c(devices, grDevices::dev.cur())
  })

  send_plots <- function(id) {
    for (device in intersect(devices, grDevices::dev.list())) grDevices::dev.off(device)
    devices <<- integer()
    for (file in sort(list.files(plots, full.names = TRUE))) {
      send_result(id, list("image/png" = base64(readBin(file, "raw", file.size(file)))), FALSE)
    }
    unlink(plots, recursive = TRUE)
  }

  # ---- epoch ----

  # Two sandboxes from one snapshot differ from here on.
  renew <- function() {
    now <- tryCatch(suppressWarnings(readLines(file.path(run_directory, "boot_id"), 1L)), error = function(e) NULL)
    if (is.null(now) || identical(now, boot)) return(invisible())
    if (!is.null(boot)) set.seed(readBin("/dev/urandom", "integer", 1L))
    boot <<- now
    path <- file.path(run_directory, "environment")
    if (!file.exists(path)) return(invisible())
    bytes <- readBin(path, "raw", file.size(path))
    ends <- which(bytes == as.raw(0L))
    begins <- c(1L, ends + 1L)[seq_along(ends)]
    entries <- mapply(function(from, to) rawToChar(bytes[seq_len(to - from) + from - 1L]), begins, ends)
    entries <- as.character(entries[grepl("=", entries, fixed = TRUE)])
    Encoding(entries) <- "UTF-8"
    names <- sub("=.*", "", entries)
    Sys.unsetenv(setdiff(inherited, names))
    inherited <<- names
    set_variables(names, sub("^[^=]*=", "", entries))
  }

  set_variables <- function(names, values) {
    if (length(names) > 0L) do.call(Sys.setenv, stats::setNames(as.list(values), names))
  }

  # ---- cells ----

  evaluate <- function(id, code) {
    expressions <- parse(text = code, keep.source = FALSE, encoding = "UTF-8")
    for (i in seq_along(expressions)) {
      value <- withVisible(eval(expressions[[i]], globalenv()))
      if (value$visible) show_value(id, value$value, i == length(expressions))
    }
  }

  # Frames up to that of eval() are this file's.
  traceback_of <- function(calls) {
    from <- which(vapply(calls, function(call) identical(call[[1L]], quote(withVisible)), NA))
    ours <- which(vapply(calls, function(call) identical(call[[1L]], quote(h)) || identical(call[[1L]], quote(.handleSimpleError)), NA))
    theirs <- calls[seq_along(calls) > (if (length(from)) from[[1L]] + 2L else length(calls))
      & seq_along(calls) < (if (length(ours)) ours[[1L]] else length(calls) + 1L)]
    lines <- vapply(theirs, function(call) paste(deparse(call, nlines = 3L), collapse = "\n"), "")
    if (length(lines) > 0L) paste0(seq_along(lines), ". ", lines)
  }

  send_error <- function(id, error, calls) {
    if (identical(conditionCall(error), quote(eval(expressions[[i]], globalenv())))) error$call <- NULL # the cell itself
    text <- if (inherits(error, "interrupt")) "interrupted\n" else toString(error)
    send(id, list(type = quoted("error"), name = quoted("ERROR"), value = quoted(text),
      traceback = quoted(c(sub("\n$", "", text), traceback_of(calls)))))
  }

  # An interrupt that was sent to an earlier cell has arrived by now.
  forget_interrupts <- function() tryCatch(allowInterrupts(Sys.sleep(0.001)), interrupt = function(e) NULL)

  execute <- function(id, code, names, values) {
    forget_interrupts()
    count <<- count + 1L
    mark(id, paste0("begin:", count))
    former <- Sys.getenv(names, NA, names = FALSE)
    calls <- list()
    tryCatch({
      set_variables(names, values)
      # Elsewhere interrupts wait.
      withCallingHandlers(allowInterrupts(evaluate(id, code)), error = function(e) calls <<- sys.calls())
    }, error = function(e) send_error(id, e, calls), interrupt = function(e) send_error(id, e, list()))
    while (sink.number() > 0L) sink()
    tryCatch(send_plots(id), error = function(e) cat(conditionMessage(e), "\n", file = stderr()))
    Sys.unsetenv(names[is.na(former)])
    set_variables(names[!is.na(former)], former[!is.na(former)])
    mark(id, "end:0")
  }

  line <- function() {
    text <- readLines(requests, 1L, warn = FALSE, encoding = "UTF-8")
    if (length(text) == 0L) quit("no")
    # With something behind it, since what is behind the last separator is lost where it is empty.
    parts <- strsplit(paste0(text, "."), "\\\\", fixed = TRUE)[[1L]]
    text <- paste(gsub("\\n", "\n", parts, fixed = TRUE), collapse = "\\")
    substr(text, 1L, nchar(text) - 1L)
  }

  serve <- function() {
    words <- strsplit(line(), " ", fixed = TRUE)[[1L]]
    variables <- vapply(seq_len(2L * as.integer(words[[3L]])), function(i) line(), "")
    code <- line()
    renew()
    odd <- seq_along(variables) %% 2L == 1L
    execute(words[[2L]], code, variables[odd], variables[!odd])
  }

  options(warn = 1L, width = 100L)
  renew()
  suspendInterrupts({
    mark("kernel", "ready:0", list(stdout()))
    # An interrupt between cells is none.
    repeat tryCatch(serve(), interrupt = function(e) NULL)
  })
})
