package dev.cube.envd.files;

import dev.cube.envd.SandboxTarget;
import dev.cube.envd.user.Users;
import dev.cube.guest.FileInfo;
import dev.cube.guest.GuestException;
import dev.cube.guest.GuestFileReader;
import dev.cube.http.BlockingOutput;
import dev.cube.http.HttpError;
import dev.cube.http.RequestBody;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.http.HttpServerResponse;
import io.vertx.ext.web.RoutingContext;
import java.io.IOException;
import java.io.InputStream;
import java.net.URLConnection;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.time.temporal.ChronoUnit;
import java.util.Optional;
import java.util.zip.GZIPOutputStream;

/** {@code GET /files}: a file's bytes, as they come from the guest. */
final class Download {
    private static final int CHUNK = 64 * 1024;

    private final HttpServerRequest request;
    private final HttpServerResponse response;
    private final SandboxTarget target;

    Download(SandboxTarget target, RoutingContext context) {
        this.request = context.request();
        this.response = context.response();
        this.target = target;
    }

    void run() {
        RequestBody.discard(request);
        Optional<String> username = FileErrors.username(request.getParam("username"));
        String path = FileErrors.resolve(target, username, Optional.ofNullable(request.getParam("path")).orElse(""));
        if (!path.startsWith("/")) {
            throw new HttpError(400, "the path is not absolute: '" + path + "'");
        }
        if (username.isPresent()) {
            FileErrors.checkUser(target, username.get());
        }
        try (GuestFileReader file = target.agent().read(path)) {
            if (file.info().type() == FileInfo.Type.DIRECTORY) {
                throw new HttpError(400, "path '" + path + "' is a directory");
            }
            send(path, file);
        } catch (GuestException e) {
            throw switch (e.kind()) {
                case NOT_FOUND, NOT_A_DIRECTORY -> new HttpError(404, "path '" + path + "' does not exist");
                case IS_A_DIRECTORY -> new HttpError(400, "path '" + path + "' is a directory");
                default -> FileErrors.of(e, "error opening file '" + path + "'");
            };
        }
    }

    private void send(String path, GuestFileReader file) {
        String accepted = request.getHeader("Accept-Encoding");
        AcceptEncoding encoding = AcceptEncoding.choose(accepted).orElseThrow(() -> new HttpError(406,
                "error parsing Accept-Encoding: no acceptable encoding found, supported: [gzip]"));
        response.putHeader("Vary", "Accept-Encoding")
                .putHeader("Content-Disposition", MediaType.inline(file.info().name()))
                .putHeader("Content-Type", contentType(path));
        if (isPartialOrConditional()) {
            if (!AcceptEncoding.identityAcceptable(accepted)) {
                throw new HttpError(406, "identity encoding not acceptable for Range or conditional request");
            }
            encoding = AcceptEncoding.IDENTITY;
        }
        try {
            if (encoding == AcceptEncoding.GZIP) {
                sendCompressed(file.input());
            } else {
                sendPlain(file);
            }
        } catch (IOException e) {
            // The client left, or the file broke off: the head is sent, so all that can be told is that it is not whole.
            response.reset();
        }
    }

    private boolean isPartialOrConditional() {
        return request.getHeader("Range") != null || request.getHeader("If-Modified-Since") != null
                || request.getHeader("If-None-Match") != null || request.getHeader("If-Range") != null;
    }

    private static String contentType(String path) {
        String guess = URLConnection.guessContentTypeFromName(path);
        return guess == null ? "application/octet-stream" : guess;
    }

    private void sendCompressed(InputStream input) throws IOException {
        response.setChunked(true).putHeader("Content-Encoding", "gzip");
        try (var output = BlockingOutput.to(response); var gzip = new GZIPOutputStream(output, CHUNK)) {
            input.transferTo(gzip);
        }
    }

    private void sendPlain(GuestFileReader file) throws IOException {
        long size = file.info().size();
        String modified = DateTimeFormatter.RFC_1123_DATE_TIME.format(file.info().modified().atOffset(ZoneOffset.UTC));
        response.putHeader("Last-Modified", modified).putHeader("Accept-Ranges", "bytes");
        if (unmodified(file.info().modified())) {
            response.setStatusCode(304).end();
            return;
        }
        if (size == 0) {
            // Files that the kernel makes up, as in /proc, say so too and have content nevertheless.
            response.setChunked(true);
            copy(file.input(), Long.MAX_VALUE);
            return;
        }
        Optional<ByteRange> range = range(size, modified);
        if (range.isPresent()) {
            ByteRange part = range.get();
            response.setStatusCode(206).putHeader("Content-Range",
                    "bytes " + part.first() + "-" + (part.first() + part.length() - 1) + "/" + size);
            file.input().skipNBytes(part.first());
        }
        long length = range.map(ByteRange::length).orElse(size);
        response.putHeader("Content-Length", Long.toString(length));
        copy(file.input(), length);
    }

    private boolean unmodified(Instant modified) {
        String since = request.getHeader("If-Modified-Since");
        if (since == null || request.getHeader("If-None-Match") != null) {
            return false;
        }
        try {
            Instant known = DateTimeFormatter.RFC_1123_DATE_TIME.parse(since, Instant::from);
            return !modified.truncatedTo(ChronoUnit.SECONDS).isAfter(known);
        } catch (DateTimeParseException e) {
            return false;
        }
    }

    private Optional<ByteRange> range(long size, String modified) {
        String ifRange = request.getHeader("If-Range");
        if (ifRange != null && !ifRange.equals(modified)) {
            return Optional.empty();
        }
        try {
            return ByteRange.parse(request.getHeader("Range"), size);
        } catch (ByteRange.Unsatisfiable e) {
            response.putHeader("Content-Range", "bytes */" + size);
            throw new HttpError(416, e.getMessage());
        }
    }

    private void copy(InputStream input, long length) throws IOException {
        var output = BlockingOutput.to(response);
        byte[] chunk = new byte[CHUNK];
        for (long left = length; left > 0;) {
            int read = input.read(chunk, 0, (int) Math.min(chunk.length, left));
            if (read < 0) {
                if (length != Long.MAX_VALUE) {
                    throw new IOException("the file has become shorter");
                }
                break;
            }
            output.write(Buffer.buffer(read).appendBytes(chunk, 0, read));
            left -= read;
        }
        output.close();
    }
}
