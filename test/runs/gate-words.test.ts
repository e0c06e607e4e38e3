import { expect, test } from 'vitest';
import { matchesGate } from '../../src/runs/gate-words.ts';

/** Which titles are the step that a gate names, in any language: neither too narrow nor too wide. */

const same: Record<string, [gate: string, title: string][]> = {
  English: [
    ['pricing', 'Extract pricing'],
    ['pricing', 'Extract prices'],
    ['legal approval', 'Get legal approval'],
    ['LEGAL APPROVAL', 'get legal approval'],
    ['approve', 'Get legal approval'],
    ['approval', 'Have the founder approve it'],
    ['marketing plan', 'Approve the marketing plan'],
    ['contract review', 'Review the contracts'],
    ['launch strategy', 'Propose our launch strategies'],
    ['analyse', 'Analysis of the findings'],
    ['plan', 'Planning'],
    ['policy', 'Check all policies'],
    ['verify', 'Verification of the figures'],
    ['site inspection', 'Inspect the site'],
    ['confirm the date', 'Confirmation of dates'],
    ['approval by the lawyer', 'Lawyer approval'],
    ['sign-off', 'Signoff from the board'],
    ['sign off', 'Final sign-off'],
    ["founder's review", "The founder's review"],
    ['Q1 report', 'Report for Q1'],
    ['ｌｅｇａｌ　ａｐｐｒｏｖａｌ', 'Legal approval'],
  ],
  German: [
    ['Freigabe', 'Rechtsfreigabe einholen'],
    ['Freigaben', 'Rechtsfreigabe einholen'],
    ['Vertrag', 'Verträge unterschreiben'],
    ['Vertrag', 'Arbeitsvertrag unterschreiben'],
    ['rechtliche Freigabe', 'Einholung rechtlicher Freigaben'],
    ['Prüfung', 'Verträge prüfen'],
    ['Marketing-Plan', 'Marketingplan abnehmen'],
    ['STRASSENPLAN', 'Straßenplan zeichnen'],
  ],
  Dutch: [
    ['goedkeuring', 'Juridische goedkeuringen vragen'],
    ['contract', 'Huurcontract tekenen'],
    ['juridische goedkeuring', 'Juridische goedkeuring'],
  ],
  Swedish: [
    ['godkännande', 'Hämta godkännandet'],
    ['granskning', 'Juridisk slutgranskning'],
  ],
  Danish: [['godkendelse', 'Indhent godkendelsen']],
  Norwegian: [['godkjenning', 'Innhent godkjenningen']],
  French: [
    ['approbation juridique', "Obtenir l'approbation juridique"],
    ['révision légale', 'Révisions légales'],
    ['validation', 'Valider le contrat'],
  ],
  Spanish: [
    ['aprobación legal', 'Obtener la aprobacion legal'],
    ['aprobación', 'Pedir las aprobaciones'],
    ['revisión jurídica', 'Revisar el contrato jurídico'],
  ],
  Portuguese: [
    ['aprovação jurídica', 'Obter aprovações jurídicas'],
    ['aprovação', 'Aprovar o texto'],
  ],
  Italian: [
    ['approvazione legale', 'Ottenere le approvazioni legali'],
    ['contratto', 'Firmare i contratti'],
  ],
  Romanian: [['aprobare juridică', 'Obținerea aprobării juridice']],
  Polish: [
    ['akceptacja prawna', 'Uzyskanie akceptacji prawnej'],
    ['zgoda prawna', 'Uzyskaj zgodę prawną'],
    ['zatwierdzenie umowy', 'Prośba o zatwierdzenia umowy'],
  ],
  Czech: [['právní schválení', 'Získání právního schválení']],
  Finnish: [
    ['hyväksyntä', 'Pyydä lakiosaston hyväksyntää'],
    ['sopimus', 'Vuokrasopimuksen tarkistus'],
  ],
  Hungarian: [
    ['jogi jóváhagyás', 'Jogi jóváhagyást kérni'],
    ['szerződés', 'Bérszerződés aláírása'],
  ],
  Turkish: [
    ['hukuki onay', 'Hukuki onayı al'],
    ['hukuki onay', 'HUKUKİ ONAYIN ALINMASI'],
    ['SATIŞ onayı', 'Satış onayını al'],
  ],
  Indonesian: [['persetujuan hukum', 'Minta persetujuannya dari bagian hukum']],
  Vietnamese: [['phê duyệt pháp lý', 'Xin phê duyệt pháp lý']],
  Russian: [
    ['юридическое согласование', 'Получение юридического согласования'],
    ['проверка договора', 'Проверить договоры'],
    ['отчёт', 'ПРОВЕРИТЬ ОТЧЕТЫ'],
  ],
  Ukrainian: [['юридичне погодження', 'Отримати юридичного погодження']],
  Bulgarian: [['правно одобрение', 'Получаване на правното одобрение']],
  Greek: [
    ['νομική έγκριση', 'Λήψη νομικής έγκρισης'],
    ['ΈΛΕΓΧΟΣ', 'Έλεγχος συμβολαίων'],
    ['νομικός έλεγχος', 'ΝΟΜΙΚΟΣ ΕΛΕΓΧΟΣ'],
  ],
  Arabic: [
    ['موافقة قانونية', 'الحصول على الموافقة القانونية'],
    ['مُوَافَقَة', 'طلب الموافقة'],
  ],
  Persian: [['تایید حقوقی', 'گرفتن تأیید حقوقی']],
  Hebrew: [
    ['אישור משפטי', 'קבלת האישור המשפטי'],
    ['הסכם', 'בדיקת ההסכמים'],
  ],
  Hindi: [['कानूनी मंज़ूरी', 'कानूनी मंजूरी लें']],
  Bengali: [['আইনি অনুমোদন', 'আইনি অনুমোদনের জন্য অনুরোধ']],
  Tamil: [['ஒப்புதல்', 'சட்ட ஒப்புதலைப் பெறுக']],
  Georgian: [['იურიდიული დამტკიცება', 'იურიდიული დამტკიცების მიღება']],
  Armenian: [['իրավական հաստատում', 'Ստանալ իրավական հաստատումը']],
  Lao: [['ອະນຸມັດທາງກົດໝາຍ', 'ຂໍອະນຸມັດທາງກົດໝາຍ']],
  Burmese: [['ဥပဒေ အတည်ပြုချက်', 'ဥပဒေအတည်ပြုချက်ရယူပါ']],
  Korean: [
    ['법률 승인', '법률 승인을 받기'],
    ['승인', '법률승인 요청'],
    ['법률 승인', '법률승인'],
  ],
  Chinese: [
    ['法律审批', '完成法律审批'],
    ['法律审批', '法律方面的审批'],
    ['审批', '完成法律审批'],
    ['价格的确认', '确认价格'],
    ['法律審批', '完成法律審批'],
  ],
  Japanese: [
    ['法務承認', '法務承認を得る'],
    ['契約書の確認', '契約書を確認する'],
    ['レビュー', 'コードレビューを行う'],
    ['ﾚﾋﾞｭｰ', '契約レビュー'],
  ],
  Thai: [
    ['อนุมัติทางกฎหมาย', 'ขออนุมัติทางกฎหมาย'],
    ['อนุมัติ', 'ขออนุมัติจากทนายความ'],
    ['คำสั่งซื้อ', 'ตรวจสอบคำสั่งซื้อ'],
  ],
  Khmer: [['អនុម័តច្បាប់', 'ស្នើសុំអនុម័តច្បាប់']],
};

const other: Record<string, [gate: string, title: string][]> = {
  English: [
    ['marketing plan', 'Research the market for plants'],
    ['marketing', 'Research the market'],
    ['contract review', "Contrast reviewers' ratings"],
    ['contract', 'Contrast two vendors'],
    ['contract', 'Hire a contractor'],
    ['legal approval', 'Illegal parking approval'],
    ['legal', 'Paralegal work'],
    ['approval', 'Handle disapproval'],
    ['approval', 'Approach the press'],
    ['approval', 'Find approximate figures'],
    ['review', 'Choose a reviewer'],
    ['review', 'Preview the page'],
    ['design', 'Hire a designer'],
    ['plan', 'Plant trees'],
    ['plan', 'Book a plane'],
    ['price', 'Award the prize'],
    ['policy', 'Ask the police'],
    ['market', 'Buy a marker'],
    ['legal', 'Look at legacy code'],
    ['audit', 'Hold an audition'],
    ['news', 'Find a new name'],
    ['media', 'Compute the median'],
    ['budget', 'Nobody will budge'],
    ['planet', 'Book a plane'],
    ['manager approval', 'Manage approvals'],
    ['office', 'Ask an officer'],
    ['national', 'International growth'],
    ['rating', 'Operating plan'],
    ['contact', 'Sign the contract'],
    ['art', 'Start the project'],
    ['port', 'Write the report'],
    ['action', 'List all transactions'],
    ['mission', 'Prepare the submission'],
    ['position', 'Compare compositions'],
    ['product', 'Plan the production'],
    ['building permit', 'Permit the team to build'],
    ['communication', 'Study the community'],
    ['execute', 'Invite executives'],
    ['phase 1', 'Phase 12'],
    ['Q1 report', 'Q10 report'],
    ['legal approval', 'Get approval'],
    ['✅', 'Check ✅'],
  ],
  German: [
    ['Art', 'Start planen'],
    ['Prüfung', 'Vorprüfung der Daten'],
    ['Freigabe', 'Abgabe vorbereiten'],
    ['Vertrag', 'Vertrieb aufbauen'],
  ],
  Dutch: [['prijs', 'Prijzenswaardig werk']],
  French: [['contrat', 'Contraste des couleurs']],
  Spanish: [['aprobación', 'Aproximación de costes']],
  Polish: [['umowa', 'Umożliwić dostęp']],
  Turkish: [['onay', 'Onarım planı']],
  Vietnamese: [['bán hàng', 'Bạn hàng']],
  Russian: [
    ['договор', 'Дорога до вокзала'],
    ['план', 'Посчитать плату'],
    ['рынок', 'Рыночный анализ'],
  ],
  Greek: [['έγκριση', 'Έγκλημα και τιμωρία']],
  Arabic: [['موافقة', 'مواقع الويب']],
  Hebrew: [['אישור', 'אישה']],
  Korean: [
    ['승인', '승용차 조사'],
    ['가격', '가구 조사'],
  ],
  Chinese: [
    ['法律审批', '研究法律'],
    ['审批', '市场调研'],
    ['人民', '老人民宿调研'],
  ],
  Japanese: [
    ['京都', '東京都の市場を調べる'],
    ['レビュー', 'プレビューを作る'],
  ],
  Thai: [['กฎหมาย', 'จดหมายข่าว']],
};

const rows = (table: typeof same) =>
  Object.entries(table).flatMap(([language, pairs]) => pairs.map(([gate, title]) => [language, gate, title] as const));

test.each(rows(same))('%s: the step "%s" is the task "%s"', (_, gate, title) => {
  expect(matchesGate(gate, title)).toBe(true);
});

test.each(rows(other))('%s: the step "%s" is not the task "%s"', (_, gate, title) => {
  expect(matchesGate(gate, title)).toBe(false);
});
