package dev.cube.envd.files;

import dev.cube.envd.SandboxTarget;
import dev.cube.envd.user.GuestPaths;
import dev.cube.envd.user.Users;
import dev.cube.guest.GuestException;
import dev.cube.guest.GuestFileWriter;
import dev.cube.http.BlockingInput;
import dev.cube.http.HttpError;
import dev.cube.http.Responses;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.ext.web.RoutingContext;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.zip.GZIPInputStream;

/**
 * {@code POST /files}: one file as the body, or any number as parts of a form, written as they arrive. A file appears
 * when it is whole; what was there before stays until then.
 */
final class Upload {
    private static final int CHUNK = 64 * 1024;
    private static final int FILES_AT_MOST = 10_000;

    private final RoutingContext context;
    private final HttpServerRequest request;
    private final SandboxTarget target;
    private final Optional<String> username;
    private final Optional<String> pathParameter;
    private Map<String, String> metadata = Map.of();

    Upload(SandboxTarget target, RoutingContext context) {
        this.context = context;
        this.request = context.request();
        this.target = target;
        this.username = FileErrors.username(request.getParam("username"));
        this.pathParameter = Optional.ofNullable(request.getParam("path"));
    }

    void run() {
        try (var body = BlockingInput.of(request)) {
            metadata = Metadata.of(request.headers());
            MediaType type = MediaType.parse(Optional.ofNullable(request.getHeader("Content-Type")).orElse(""));
            InputStream content = decompressed(body);
            List<Uploaded> uploaded = type.value().equals("application/octet-stream") ? raw(content)
                    : type.value().startsWith("multipart/") ? form(content, type) : unsupported();
            Responses.json(context, 200, uploaded);
        }
    }

    private InputStream decompressed(InputStream body) {
        String encoding = Optional.ofNullable(request.getHeader("Content-Encoding")).orElse("").strip();
        try {
            return switch (encoding.toLowerCase(java.util.Locale.ROOT)) {
                case "", "identity" -> body;
                case "gzip" -> new GZIPInputStream(body, CHUNK);
                default -> throw new HttpError(400, "error decompressing request body: unsupported Content-Encoding: "
                        + encoding + ", supported: [gzip]");
            };
        } catch (IOException e) {
            throw new HttpError(400, "error decompressing request body: " + e.getMessage());
        }
    }

    private List<Uploaded> unsupported() {
        throw new HttpError(400, "unsupported content type: "
                + Optional.ofNullable(request.getHeader("Content-Type")).orElse("")
                + ", expected multipart/form-data or application/octet-stream");
    }

    private List<Uploaded> raw(InputStream content) {
        String path = pathParameter.orElseThrow(
                () -> new HttpError(400, "path query parameter is required for raw body upload"));
        String resolved = FileErrors.resolve(target, username, path);
        return List.of(write(resolved, content));
    }

    private List<Uploaded> form(InputStream content, MediaType type) {
        var uploaded = new ArrayList<Uploaded>();
        try {
            String boundary = Optional.ofNullable(type.parameters().get("boundary"))
                    .orElseThrow(() -> new MalformedMultipart("no multipart boundary param in Content-Type"));
            var parts = new MultipartReader(content, boundary);
            for (var part = parts.next(); part.isPresent(); part = parts.next()) {
                MediaType disposition = MediaType.parse(
                        part.get().headers().getOrDefault("content-disposition", ""));
                if (!"file".equals(disposition.parameters().get("name"))) {
                    continue;
                }
                String path = partPath(disposition.parameters(), uploaded);
                uploaded.add(write(path, part.get().body()));
            }
        } catch (MalformedMultipart e) {
            throw new HttpError(400, "error parsing multipart form: " + e.getMessage());
        } catch (IOException e) {
            throw new HttpError(400, "error reading form: " + e.getMessage());
        }
        return uploaded;
    }

    private String partPath(Map<String, String> disposition, List<Uploaded> earlier) throws MalformedMultipart {
        if (earlier.size() == FILES_AT_MOST) {
            throw new HttpError(400, "more than " + FILES_AT_MOST + " files in one request");
        }
        String path = pathParameter.or(() -> Optional.ofNullable(disposition.get("filename")))
                .orElseThrow(() -> new MalformedMultipart("filename not found in Content-Disposition header"));
        String resolved = FileErrors.resolve(target, username, path);
        if (earlier.stream().anyMatch(file -> file.path().equals(resolved))) {
            throw new HttpError(400, "you cannot upload multiple files to the same path '" + resolved
                    + "' in one upload request, only the first specified file was uploaded");
        }
        return resolved;
    }

    private Uploaded write(String path, InputStream content) {
        String user = username.orElse(Users.DEFAULT);
        try (GuestFileWriter file = target.agent().write(path, user, Optional.empty(), metadata)) {
            byte[] chunk = new byte[CHUNK];
            // Full chunks: a form's reader gives out as little as one line at a time.
            for (int read = content.readNBytes(chunk, 0, CHUNK); read > 0; read = content.readNBytes(chunk, 0, CHUNK)) {
                file.write(chunk, 0, read);
            }
            return Uploaded.of(path, file.commit().metadata());
        } catch (GuestException e) {
            throw switch (e.kind()) {
                case UNKNOWN_USER -> FileErrors.unknownUser(user);
                case IS_A_DIRECTORY -> new HttpError(400, "path is a directory: " + path);
                case NOT_A_DIRECTORY -> new HttpError(500, "error ensuring directories: path is a file: "
                        + GuestPaths.parent(path));
                case NO_SPACE -> new HttpError(507, noSpace());
                default -> FileErrors.of(e, "error writing file");
            };
        } catch (IOException e) {
            throw new HttpError(400, "error reading the request: " + e.getMessage());
        }
    }

    private String noSpace() {
        String length = request.getHeader("Content-Length");
        return (length == null ? "" : "attempted to write " + length + " bytes: ")
                + "not enough disk space available";
    }
}
