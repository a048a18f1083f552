#include "event.h"

#include <cstdio>

namespace {

// Quotes bytes as a Go string literal. Everything but printable ASCII becomes
// \xNN, so that bytes which are not UTF-8 come through unchanged.
QByteArray quote(const QByteArray &bytes)
{
    static const char digits[] = "0123456789abcdef";
    QByteArray out = "\"";
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (byte < 0x20 || byte > 0x7e) {
            out += "\\x";
            out += digits[byte >> 4];
            out += digits[byte & 15];
        } else {
            out += c;
        }
    }
    return out += '"';
}

} // namespace

QByteArray Endpoint::text() const
{
    const QByteArray host = address.toString().toLatin1();
    const QByteArray number = QByteArray::number(port);
    if (address.protocol() == QAbstractSocket::IPv6Protocol)
        return '[' + host + "]:" + number;
    return host + ':' + number;
}

Event::~Event()
{
    line += '\n';
    std::fwrite(line.constData(), 1, static_cast<std::size_t>(line.size()), stdout);
    std::fflush(stdout);
}

Event &Event::plain(const char *key, const QByteArray &value)
{
    line += ' ';
    line += key;
    line += '=';
    line += value;
    return *this;
}

Event &Event::number(const char *key, qint64 value)
{
    return plain(key, QByteArray::number(value));
}

Event &Event::hex(const char *key, const QByteArray &value)
{
    return plain(key, value.toHex());
}

Event &Event::quoted(const char *key, const QByteArray &value)
{
    return plain(key, quote(value));
}

Event &Event::quoted(const char *key, const QString &value)
{
    return quoted(key, value.toUtf8());
}

void reportError(const QString &text)
{
    Event("ERROR").number("code", 0).quoted("text", text);
}

void reportError(const Endpoint &end, QDtlsError code, const QString &text)
{
    Event("ERROR").number("code", static_cast<int>(code)).quoted("text", text).peer(end);
}
