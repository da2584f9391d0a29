// Why a link closed a connection: WebSocket close codes of the range for applications.

/** This node closes. */
export const CloseGoingAway = 1001;
/** It is of another cluster, as `clusterId` tells. */
export const CloseBadCluster = 4001;
/** It did not prove that it knows the shared secret. */
export const CloseBadKey = 4002;
/** It proved the secret, and its id is none of the members'. */
export const CloseUnknownPeer = 4003;
/** Bytes that are no frame, or a greeting that is none. */
export const CloseBadFrame = 4004;
/** It speaks another version of the protocol between nodes. */
export const CloseBadVersion = 4005;
/** The challenge was not answered in time. */
export const CloseTimeout = 4006;
/** The same peer connected again. */
export const CloseReplaced = 4007;
/** The address belongs to another node than the one it was dialled for. */
export const CloseWrongNode = 4008;
/** The owner refused what the peer showed (LinkHandler.onHello). Believed of a peer only where it is signed. */
export const CloseLostLog = 4009;
/** A sound frame that says what no peer of this version says (LinkHandler.onMessages). */
export const CloseBadMessage = 4010;
/** A frame is not the one that was sent there: made, changed, repeated, moved or left out on the way. */
export const CloseBadTag = 4011;
/** Two live nodes call themselves by one id. */
export const CloseDuplicateId = 4012;
/** It was a member and was removed (LinkHandler.isRemoved). Believed of a peer only where it is signed. */
export const CloseRemoved = 4014;

/** TLS: it has no certificate of an authority that this node believes, or not for that address; or speaks no TLS. */
export const CloseBadCertificate = 4013;

/** What each of our codes means, for the close reason and for reports. */
export const CLOSE_REASONS: Readonly<Record<number, string>> = {
  [CloseGoingAway]: "going away",
  [CloseBadCluster]: "another cluster",
  [CloseBadKey]: "bad key",
  [CloseUnknownPeer]: "unknown peer",
  [CloseBadFrame]: "bad frame",
  [CloseBadVersion]: "bad version",
  [CloseTimeout]: "challenge not answered in time",
  [CloseReplaced]: "replaced by a newer connection",
  [CloseWrongNode]: "another node than the one dialled",
  [CloseLostLog]: "its log is not the one this node knew",
  [CloseBadMessage]: "a message that no peer sends",
  [CloseDuplicateId]: "another node with the same id is connected",
  [CloseBadTag]: "a frame was changed on its way",
  [CloseBadCertificate]: "bad certificate",
  [CloseRemoved]: "removed from the cluster",
};

/** `why`: a code of OpenSSL's, or of Node's with its sentence. */
export function certificateReason(why: string): string {
  return `${CLOSE_REASONS[CloseBadCertificate]} (${why})`;
}

/** What a code means that a peer closed with. Of its own words, which may be anything, a certificate's fault counts. */
export function reasonOf(code: number, given: string): string {
  const isFault = code === CloseBadCertificate && /^bad certificate \([A-Z_]{1,60}\)$/.test(given);
  return isFault ? given : (CLOSE_REASONS[code] ?? `code ${code}`);
}
