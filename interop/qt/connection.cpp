#include "connection.h"

#include <QtCore/QCryptographicHash>
#include <QtNetwork/QSslCertificate>
#include <QtNetwork/QSslCipher>
#include <QtNetwork/QSslConfiguration>
#include <QtNetwork/QSslError>

namespace {

QByteArray protocolName(QSsl::SslProtocol protocol)
{
    QT_WARNING_PUSH
    QT_WARNING_DISABLE_DEPRECATED
    if (protocol == QSsl::DtlsV1_0)
        return QByteArrayLiteral("DTLSv1.0");
    QT_WARNING_POP
    if (protocol == QSsl::DtlsV1_2)
        return QByteArrayLiteral("DTLSv1.2");
    return QByteArrayLiteral("unknown");
}

void reportCertificate(const QDtls &dtls, const Endpoint &end)
{
    const QSslCertificate certificate = dtls.dtlsConfiguration().peerCertificate();
    if (certificate.isNull())
        return;
    Event("CERTIFICATE")
        .peer(end)
        .hex("sha256", certificate.digest(QCryptographicHash::Sha256))
        .quoted("cn", certificate.subjectInfo(QSslCertificate::CommonName).value(0));
}

} // namespace

void reportConnected(const QDtls &dtls, const Endpoint &end)
{
    reportCertificate(dtls, end);
    Event("CONNECTED")
        .peer(end)
        .plain("protocol", protocolName(dtls.sessionProtocol()))
        .plain("cipher", dtls.sessionCipher().name().toLatin1());
}

ExitCode reportHandshakeFailure(QDtls &dtls, QUdpSocket &socket, const Endpoint &end)
{
    const QDtlsError code = dtls.dtlsError();
    const QString text = dtls.dtlsErrorString();
    const bool unverified = code == QDtlsError::PeerVerificationError;
    if (unverified) {
        reportCertificate(dtls, end);
        const auto errors = dtls.peerVerificationErrors();
        for (const QSslError &error : errors) {
            Event("VERIFY-ERROR")
                .peer(end)
                .number("code", static_cast<int>(error.error()))
                .quoted("text", error.errorString());
        }
    }
    reportError(end, code, text);
    if (dtls.handshakeState() == QDtls::PeerVerificationFailed
        || dtls.handshakeState() == QDtls::HandshakeInProgress)
        dtls.abortHandshake(&socket);
    return unverified ? ExitVerification : ExitFailed;
}
