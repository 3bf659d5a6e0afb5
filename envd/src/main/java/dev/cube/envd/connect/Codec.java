package dev.cube.envd.connect;

import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import java.nio.charset.StandardCharsets;

/** How messages are written as bytes. */
enum Codec {
    JSON {
        @Override
        byte[] encode(Message message) {
            try {
                return PRINTER.print(message).getBytes(StandardCharsets.UTF_8);
            } catch (InvalidProtocolBufferException e) {
                throw new IllegalStateException("a message of our own cannot be written", e);
            }
        }

        @Override
        void merge(byte[] data, Message.Builder into) throws InvalidProtocolBufferException {
            if (data.length == 0) {
                throw new InvalidProtocolBufferException("zero-length payload is not a valid JSON object");
            }
            PARSER.merge(new String(data, StandardCharsets.UTF_8), into);
        }
    },
    PROTO {
        @Override
        byte[] encode(Message message) {
            return message.toByteArray();
        }

        @Override
        void merge(byte[] data, Message.Builder into) throws InvalidProtocolBufferException {
            into.mergeFrom(data);
        }
    };

    private static final JsonFormat.Printer PRINTER = JsonFormat.printer().omittingInsignificantWhitespace();
    private static final JsonFormat.Parser PARSER = JsonFormat.parser().ignoringUnknownFields();

    abstract byte[] encode(Message message);

    abstract void merge(byte[] data, Message.Builder into) throws InvalidProtocolBufferException;

    /** Reads a message of the prototype's type; {@code INVALID_ARGUMENT} if the bytes are not one. */
    @SuppressWarnings("unchecked")
    <M extends Message> M decode(byte[] data, M prototype) {
        Message.Builder builder = prototype.newBuilderForType();
        try {
            merge(data, builder);
        } catch (InvalidProtocolBufferException e) {
            throw new ConnectException(Code.INVALID_ARGUMENT, "unmarshal message: " + e.getMessage());
        }
        return (M) builder.build();
    }
}
